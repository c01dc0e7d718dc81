"""``design-loop base``: the small base model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from design_loop.cli.output import Format, FormatOption, bar, print_json, quiet_libraries, stoppable

#: Examples that the tokenizer's words are read from: the same for every seed and share, so that all
#: models of this corpus have one vocabulary.
VOCABULARY_SAMPLE, VOCABULARY_SEED, VOCABULARY_FULL_SHARE = 4000, 1, 0.1

app = typer.Typer(help="The small base model, pretrained without labels.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `train` a word of its own although it is the only one."""


@app.command()
def train(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the finished model.")],
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Time to train, that before a stop included.")
    ] = 48.0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="End after so many steps.")] = None,
    full_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of examples in the full format.")
    ] = 0.15,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all by default.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    fmt: FormatOption = Format.table,
) -> None:
    """Pretrain a small model on random defect structures; the same command goes on after a stop."""
    from functools import partial
    from itertools import islice

    from training.corpus import copying, corpus
    from training.pretrain import PretrainSettings, pretrain
    from training.vocabulary import small_tokenizer

    quiet_libraries()
    settings = PretrainSettings(
        minutes=minutes, max_steps=max_steps, threads=threads, device=device, seed=seed
    )
    examples = partial(corpus, full_share=full_share)
    kept = "the same command goes on from the last checkpoint"
    with stoppable(lambda: kept), bar("steps" if max_steps else "seconds") as advance:

        def tell(line: dict[str, float]) -> None:
            if max_steps is not None:
                advance(int(line["step"]), max_steps)
            else:
                advance(int(60 * line["minutes"]), int(60 * minutes))

        texts = corpus(VOCABULARY_SEED, full_share=VOCABULARY_FULL_SHARE)
        tokenizer = small_tokenizer(islice(texts, VOCABULARY_SAMPLE))
        figures = pretrain(examples, tokenizer, out, settings, first=copying, on_progress=tell)
    if fmt is Format.json:
        print_json(figures)
        return
    told = ", ".join(f"{key} {value:.4g}" for key, value in figures.items())
    typer.echo(f"{out}: {told}")
