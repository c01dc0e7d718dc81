"""What adapting the sampling settings is worth, on a model whose yield is a known function.

    python benchmarks/adapt_settings.py

The campaign's own sampler (`design_loop.adaptation.study`) against asking everything with the
configured setting, for models that are at their best there, a little elsewhere and far away. Hits
are counted with the noise of real rounds; yields drift, as adapters learn and a space is used up.
No language model: this measures the sampler, not how much a real model depends on its settings.
"""

from __future__ import annotations

import math

import numpy as np

from design_loop.adaptation.leader import leader
from design_loop.adaptation.study import ask
from design_loop.adaptation.yields import ArmYield
from design_loop.config.adaptation import AdaptConfig

ADAPT = AdaptConfig(enabled=True)
BOUNDS = {name: getattr(ADAPT, name) for name in ("temperature", "top_p", "target_jitter")}
CONFIGURED = {"temperature": 1.0, "top_p": 0.9, "target_jitter": 0.0}
#: Widths of the known function along each setting.
WIDTHS = {"temperature": 0.25, "top_p": 0.1, "target_jitter": 0.25}
BEST = {
    "as configured": CONFIGURED,
    "a little hotter": {"temperature": 1.2, "top_p": 0.95, "target_jitter": 0.1},
    "far away": {"temperature": 1.45, "top_p": 0.98, "target_jitter": 0.3},
}
SEEDS, SAMPLES = 8, 192


def rate(settings: dict[str, float], best: dict[str, float], peak: float) -> float:
    """Probability that a sample is worth something."""
    far = sum(((settings[n] - best[n]) / WIDTHS[n]) ** 2 for n in WIDTHS)
    return peak * math.exp(-far / 2)


def play(best: dict[str, float], peak: float, rounds: int, seed: int) -> float:
    """Hits of all samples over those of the configured setting alone, in expectation."""
    rng = np.random.default_rng(seed)
    history: list[ArmYield] = []
    gained = plain = 0.0
    for number in range(1, rounds + 1):
        level = 0.93**number
        asked, _ = ask(
            history, BOUNDS, ADAPT.arms - 2, int(rng.integers(2**31)), startup=2 * ADAPT.arms
        )
        first = leader(history, BOUNDS) or CONFIGURED
        each = SAMPLES // (2 * (ADAPT.arms - 1))
        for index, row in enumerate([CONFIGURED, first, *asked]):
            n = SAMPLES // 2 if index == 1 else each
            expected = rate(row, best, peak) * level
            gained += n * expected
            history.append(
                ArmYield(number, {"index": index, **row}, n, float(rng.binomial(n, expected)))
            )
        plain += SAMPLES * rate(CONFIGURED, best, peak) * level
        history = [y for y in history if y.round > number - ADAPT.memory]
    return gained / plain


def main() -> None:
    """Print the table."""
    print(
        f"{SEEDS} seeds, {SAMPLES} samples a round, {ADAPT.arms} settings; hits over those of the"
    )
    print("configured setting alone: mean (worst and best of the seeds)")
    print(f"{'model at its best':>18} {'yield there':>12}" + "".join(
        f"{f'{rounds} rounds':>22}" for rounds in (3, 10, 30)))  # fmt: skip
    for name, best in BEST.items():
        for peak in (0.4, 0.04):
            cells = []
            for rounds in (3, 10, 30):
                found = [play(best, peak, rounds, seed) for seed in range(SEEDS)]
                cells.append(f"{np.mean(found):.2f} ({min(found):.2f}-{max(found):.2f})")
            print(
                f"{name:>18} {peak:>12.0%}" + "".join(f"{cell:>22}" for cell in cells), flush=True
            )


if __name__ == "__main__":
    main()
