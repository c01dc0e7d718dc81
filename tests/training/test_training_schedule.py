"""The learning rate over a run."""

from __future__ import annotations

import pytest

from training.schedule import Schedule


def test_warm_up_then_cosine_to_the_final_rate() -> None:
    schedule = Schedule(1e-3, warmup=0.1, final=0.1)
    assert schedule.at(0.05) == pytest.approx(5e-4)
    assert schedule.at(0.1) == pytest.approx(1e-3)
    assert schedule.at(0.55) == pytest.approx(5.5e-4)
    assert schedule.at(1.0) == pytest.approx(1e-4)
    assert schedule.at(7.0) == schedule.at(1.0)
    assert schedule.at(0.0) > 0


def test_other_courses() -> None:
    assert Schedule(1.0, 0.0, 0.0, "linear").at(0.25) == pytest.approx(0.75)
    assert Schedule(1.0, 0.2, 0.0, "constant").at(1.0) == 1.0
    with pytest.raises(ValueError, match="cubic"):
        Schedule(1.0, kind="cubic")
