"""stub"""

import typer

app = typer.Typer()


@app.callback()
def _cb() -> None:
    pass


@app.command()
def train() -> None:
    """later"""
