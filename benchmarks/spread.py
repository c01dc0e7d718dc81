"""What the jackknife adds to a surrogate's spread: on labels held out, and on what a search found.

    OMP_NUM_THREADS=1 python benchmarks/spread.py --data DATA --property P [--fit N] [--splits 3]
        [--ledger LEDGER.sqlite]

Fits the kind `trees` with and without the jackknife's error of the mean, the same labels and folds,
and asks both for labels that they have not seen: at random a fifth (or all but N) of the data, and
with `--ledger` everything that the campaigns of a comparison verified, which was searched for by
surrogates of the same labels. Prints the coverage of the nominal 90 % interval, errors in units of
the spread (rms, 1 is right) and the log-likelihood per label in nats without its constant.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from defects.configuration import Configuration
from defects.datasets import Dataset, resolve_dataset
from defects.surrogates import load_surrogate
from defects.surrogates.base import Z90
from design_loop.ledger import Ledger, Source
from training.surrogate import fit_surrogate

Labelled = tuple[Sequence[Configuration], np.ndarray]


def compare(
    name: str, data: Dataset, known: Labelled, asked: Labelled, args: argparse.Namespace
) -> None:
    """Fit both spreads to what is known, and print how they do on what is asked."""
    for kind, budget in (("without", 0.0), ("with", None)):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "surrogate"
            # A budget that is spent leaves the jackknife out.
            fit_surrogate(
                known[0],
                {args.property: known[1]},
                data.host,
                out,
                seed=args.seed,
                model="trees",
                iterations=args.iterations,
                budget_s=budget,
                threads=args.threads,
            )
            found = load_surrogate(out).predict(asked[0])
        error, std = found.mean[:, 0] - asked[1], found.std[:, 0]
        print(
            f"{name:24s} {len(asked[1]):6d}  {kind:8s} "
            f"{100 * (np.abs(error) <= Z90 * std).mean():5.1f} %  "
            f"{np.sqrt(((error / std) ** 2).mean()):6.2f}  "
            f"{-(np.log(std) + 0.5 * (error / std) ** 2).mean():6.2f}",
            flush=True,
        )


def verified(ledger: Path, data: Dataset, prop: str) -> Labelled:
    """What all campaigns of a ledger verified and the dataset does not hold, each class once."""
    known = {r.configuration.key for r in data}
    rows: dict[str, tuple[Configuration, float]] = {}
    with Ledger(ledger, create=False) as store:
        for campaign in store.campaigns():
            for label in store.labels(campaign.id, Source.ORACLE):
                c = Configuration.from_dict(label.configuration, data.host)
                if c.key not in known:
                    rows[c.key] = (c, label.properties[prop])
    return [c for c, _ in rows.values()], np.array([value for _, value in rows.values()])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", required=True, help="dataset folder, or a shipped one's name")
    parser.add_argument("--property", default="homo_lumo_gap")
    parser.add_argument("--fit", type=int, help="labels to fit to; four fifths when not given")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument(
        "--ledger", type=Path, help="of a comparison whose labels were searched for"
    )
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    data = resolve_dataset(args.data)
    records = data.labelled(args.property)
    configurations = [r.configuration for r in records]
    values = np.array([r.properties[args.property] for r in records])
    print(f"{'asked':24s} {'labels':>6s}  {'jackknife':8s} within 90 %   rms z   ln p")
    for split in range(args.splits):
        order = np.random.default_rng(split).permutation(len(values))
        n = args.fit or int(0.8 * len(values))
        known, asked = (
            ([configurations[i] for i in rows], values[rows]) for rows in (order[:n], order[n:])
        )
        compare(f"random, split {split + 1}", data, known, asked, args)
    if args.ledger is not None:
        searched = verified(args.ledger, data, args.property)
        compare("searched", data, (configurations, values), searched, args)


if __name__ == "__main__":
    main()
