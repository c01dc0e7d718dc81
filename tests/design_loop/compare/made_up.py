"""Outcomes of campaigns that never ran."""

from __future__ import annotations

from design_loop.compare.outcome import Call, Outcome


def outcome(arm, seed, errors, known=(), pace=2.0, own=0.75, failed=1):
    """A campaign with a label every `pace` seconds, `own` of them outside the oracle.

    Labels with an error of 0 are hits; `known` are the places of those that the dataset had.
    """
    calls = tuple(
        Call(i + 1, pace * (i + 1), own * (i + 1), e == 0, i not in known, e)
        for i, e in enumerate(errors)
    )
    end = len(errors) + 1
    return Outcome(arm, seed, f"{arm}-{seed}", 90, 40, 44, failed, pace * end, own * end, calls)


OUTCOMES = [
    outcome("random", 0, [0.2, 0.0, 0.1]),
    outcome("random", 1, [0.3, 0.3, 0.3]),
    outcome("nearest", 0, [0.0, 0.1, 0.0], known=(0, 1, 2)),
]
