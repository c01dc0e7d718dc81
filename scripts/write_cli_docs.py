"""Write docs/cli.md from the command line itself. ``--check`` only says whether it is current."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main
from typer.core import TyperArgument, TyperGroup

from design_loop.cli import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
HEAD = """# Command line

Made by `make docs` from the commands themselves; a test holds it current.

Exit codes: 0 success, 2 wrong usage or configuration, 130 interrupted, 1 any other error. Results
go to the standard output; progress, warnings and errors to the standard error stream. `--debug`
before the command shows traces. A campaign goes on to its end when nobody reads what it prints
(`| head`, a terminal that was closed); the code is 1 then if its results were not read.
"""
_KINDS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def build() -> str:
    """The page as text."""
    return HEAD + "".join(_sections(typer.main.get_command(app), "design-loop"))


def _sections(command: Any, path: str) -> Iterator[str]:
    if command.hidden:
        return
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from _sections(command.get_command(context, name), f"{path} {name}")
        return
    arguments, rows = [], []
    for param in command.params:
        if isinstance(param, TyperArgument):
            arguments.append(param.metavar or param.name.upper())
            rows.append(_row(arguments[-1], param))
        else:
            names = ", ".join([*param.opts, *param.secondary_opts])
            rows.append(_row(f"{names} {_value(param)}", param))
    yield f"\n## `{' '.join([path, *arguments])}`\n\n{(command.help or '').strip()}\n"
    if rows:
        yield "\n| | | default |\n|---|---|---|\n" + "".join(rows)


def _value(param: Any) -> str:
    if param.is_flag:
        return ""
    kind = param.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    return param.metavar or _KINDS.get(kind, "VALUE")


def _row(name: str, param: Any) -> str:
    text = param.help or ""
    if param.envvar:
        text += f" Or `{param.envvar}`."
    cells = (f"`{name.strip()}`", text, _default(param))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if isinstance(param.show_default, str):
        return f"`{param.show_default}`"
    if param.default is None or param.default is False or param.default == ():
        return ""
    if param.default is True:
        return f"`{param.opts[0]}`"
    return f"`{getattr(param.default, 'value', param.default)}`"


if __name__ == "__main__":
    text = build()
    if "--check" in sys.argv:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        sys.exit(0 if current else "docs/cli.md is not current; run: make docs")
    PAGE.write_text(text, encoding="utf-8")
