"""Whether the campaigns of a comparison were made by the same code."""

from __future__ import annotations

from collections.abc import Sequence

from design_loop.compare.outcome import Outcome


def code_note(outcomes: Sequence[Outcome]) -> str | None:
    """Say in one line which campaigns another code began than the newest one's.

    A campaign is found again by its settings alone, so that a comparison that is gone on with
    holds what was made before the code changed.

    Returns
    -------
    str or None
        None where all are of one code, or of none of them it is known.
    """
    newest = max(outcomes, key=lambda o: o.created)
    seeds: dict[tuple[str, str | None], list[int]] = {}
    for o in outcomes:
        if o.code != newest.code:
            seeds.setdefault((o.arm, o.code), []).append(o.seed)
    if not seeds:
        return None
    older = "; ".join(_campaigns(arm, code, mine) for (arm, code), mine in seeds.items())
    return (
        f"Made by different code: {older} - older than that of the newest campaign "
        f"({newest.code or 'unknown'}). A new --out has all of one code."
    )


def _campaigns(arm: str, code: str | None, seeds: Sequence[int]) -> str:
    what = "seed" if len(seeds) == 1 else "seeds"
    return f"{arm}, {what} {', '.join(map(str, seeds))} ({code or 'unknown'})"
