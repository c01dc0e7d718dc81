"""Kill what a campaign runs on with -9, again and again, and see what is lost.

    python benchmarks/chaos.py --kills 100 --commits

A campaign with a stand-in cluster (see chaos_driver.py) is driven, its driver killed at a random
moment, gone on with, killed again, until it ends; then the next campaign, until so many drivers
were killed. With --commits another campaign dies before and after each of its commits. Every one
has to end as the campaign that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import tempfile
from pathlib import Path

import chaos_driver as chaos
import quick_services


def undisturbed(folder: Path) -> tuple[chaos.Outcome, float]:
    """The campaign that nobody kills, and the processor's seconds that it takes."""
    _new(folder)
    assert chaos.wait(chaos.fork(folder))
    expected = chaos.finish(folder, chaos.Outcome())
    _new(again := folder.with_name("timed"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert chaos.wait(chaos.fork(again))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert chaos.final_state(again) == expected.final, "not even an undisturbed one repeats itself"
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return expected, seconds


def random_moments(folder: Path, rng: random.Random, kills: int, span: float) -> chaos.Outcome:
    """One campaign whose driver is killed at random moments, at most `kills` times."""
    _new(folder)
    outcome = chaos.Outcome()
    while True:
        seconds = rng.uniform(0, span) if outcome.deaths < kills else 3600.0
        if chaos.killed_after(folder, seconds):
            return chaos.finish(folder, outcome)
        outcome.deaths += 1
        chaos.check(folder, outcome)


def commit_points(folder: Path) -> chaos.Outcome:
    """One campaign that dies before and after each of its commits.

    Every driver dies at the first, second or third commit that brings something new: what begins a
    step, claims calls, keeps a label, ends a step or a round. First those of its start.
    """
    _new(folder)
    outcome = chaos.Outcome()
    first = [(when, n, True) for n in range(1, 7) for when in ("before", "after")]
    cycle = [(when, n, False) for n in (1, 2, 3) for when in ("before", "after")]
    while True:
        point = first.pop(0) if first else cycle[outcome.deaths % len(cycle)]
        if chaos.killed_at_commit(folder, point[0], point[1], every=point[2]):
            return chaos.finish(folder, outcome)
        outcome.deaths += 1
        chaos.check(folder, outcome)


def _new(folder: Path) -> None:
    folder.mkdir(parents=True)
    quick_services.write_campaign(folder)
    chaos.known(folder)


def run(kills: int, commits: bool, seed: int, folder: Path, span: float | None) -> dict:
    """All campaigns; a summary of plain numbers."""
    expected, seconds = undisturbed(folder / "undisturbed")
    rng = random.Random(seed)
    span = span or seconds / 2
    outcomes: dict[str, list[chaos.Outcome]] = {"random moments": [], "commit points": []}
    while (left := kills - sum(o.deaths for o in outcomes["random moments"])) > 0:
        number = len(outcomes["random moments"])
        outcomes["random moments"].append(
            random_moments(folder / f"random-{number}", rng, min(left, 10), span)
        )
    if commits:
        outcomes["commit points"].append(commit_points(folder / "commits"))
    rows = []
    for name, found in outcomes.items():
        if not found:
            continue
        other = [o for o in found if o.final != expected.final]
        rows.append(
            {
                "driver killed at": name,
                "campaigns": len(found),
                "kills": sum(o.deaths for o in found),
                "labels": sum(len(o.seen) for o in found),
                "lost": sum(o.lost + o.changed for o in found),
                "computed again though kept": sum(o.repeated for o in found),
                "in flight, redone": sum(o.redone for o in found),
                "more redone than killed": sum(o.excess for o in found),
                "ended otherwise": len(other),
                "differing": sorted(
                    {k for o in other for k in o.final if o.final[k] != expected.final[k]}
                ),
            }
        )
    return {"undisturbed_cpu_s": seconds, "span_s": span, "seed": seed, "rows": rows}


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="drivers killed at random moments")
    parser.add_argument("--commits", action="store_true", help="and at every commit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--span", type=float, help="kill within so many CPU seconds")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--keep", type=Path, help="work here and leave everything")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        found = run(options.kills, options.commits, options.seed, folder, options.span)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if options.format == "json":
        print(json.dumps(found, indent=2))
        return
    print(f"undisturbed: {found['undisturbed_cpu_s']:.1f} s; killed within {found['span_s']:.1f} s")
    for row in found["rows"]:
        print("\n".join(f"  {key:28} {value}" for key, value in row.items()), end="\n\n")


if __name__ == "__main__":
    main()
