"""``design-loop data``: check, label, describe."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from design_loop.cli.output import (
    Format,
    FormatOption,
    UsageError,
    bar,
    make_rules,
    print_json,
    print_tables,
    stoppable,
)

if TYPE_CHECKING:
    from design_loop.labelling import LabelRun

app = typer.Typer(help="Datasets in the 2DMD layout.", no_args_is_help=True)

PathArgument = Annotated[
    str, typer.Argument(metavar="PATH", help="Dataset folder, or the name of a shipped one.")
]
HostOption = Annotated[
    str | None,
    typer.Option(help="Which host to read from a folder of several, such as MoS2-8x8x1."),
]


class Sampling(StrEnum):
    """How configurations are chosen."""

    random = "random"
    enumerate = "enumerate"


@app.command()
def check(path: PathArgument, host: HostOption = None, fmt: FormatOption = Format.table) -> None:
    """Look for everything that is wrong with a dataset; exit code 1 if there are errors."""
    from defects.datasets import check_dataset

    problems = check_dataset(path, host)
    errors = sum(p.severity == "error" for p in problems)
    if fmt is Format.json:
        from dataclasses import asdict

        print_json({"path": path, "sound": not errors, "problems": [asdict(p) for p in problems]})
    else:
        for problem in problems:
            typer.echo(f"{problem.severity}: {problem}")
        typer.echo(f"{path}: {errors} errors, {len(problems) - errors} warnings")
    if errors:
        raise typer.Exit(1)


@app.command()
def label(
    host: Annotated[str, typer.Argument(help="Built-in host, or a CIF file of its unit cell.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Dataset to make, or to extend.")],
    num: Annotated[
        int | None, typer.Option(min=1, help="Structures that it shall hold in the end.")
    ] = None,
    supercell: Annotated[str, typer.Option(help="Repetitions of the unit cell.")] = "4x4",
    defect: Annotated[
        list[str] | None, typer.Option(metavar="V_S", help="Allowed defect; again for more.")
    ] = None,
    min_defects: Annotated[int, typer.Option(min=1, help="Fewest changed sites.")] = 1,
    max_defects: Annotated[int, typer.Option(min=1, help="Most changed sites.")] = 6,
    sampling: Annotated[
        Sampling, typer.Option(help="Random, or every class under symmetry, few defects first.")
    ] = Sampling.random,
    structures: Annotated[
        str | None, typer.Option(metavar="PATH", help="Label those of a dataset instead.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Leave out what a dataset has; again.")
    ] = None,
    oracle: Annotated[str, typer.Option(help="xtb, ase or table.")] = "xtb",
    setting: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Setting of the oracle; again.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random configurations.")] = 0,
    parallel: Annotated[
        int | None, typer.Option(min=1, help="Calls at a time; by default as CPUs allow.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds after which a call failed.")] = 600,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed before.")
    ] = False,
    fmt: FormatOption = Format.table,
) -> None:
    """Label configurations with an oracle, spread over Ray; the same command goes on after a stop.

    Every label is on disk as soon as it is there.
    """
    from defects.datasets import resolve_dataset
    from defects.hosts import get_host, parse_supercell
    from defects.oracles import OracleSpec
    from design_loop.labelling import LabelProgress, label_dataset
    from design_loop.oracle_pool import PoolLimits
    from serve.cluster import ensure_ray

    if structures is None and not defect:
        raise UsageError("say what to label: --defect V_S --defect Se_S ..., or --structures PATH")
    if structures is None and num is None and sampling is Sampling.random:
        raise UsageError("say how many random configurations: --num 100")
    crystal = get_host(host, parse_supercell(supercell))
    given = resolve_dataset(structures) if structures else None
    if given is not None and given.host.key != crystal.key:
        raise UsageError(f"{structures} is on {given.host.key}, not on {crystal.key}")
    rules = make_rules(defect, min_defects, max_defects) if defect else None
    excluded = [resolve_dataset(name) for name in exclude or ()]
    spec = OracleSpec(oracle, _settings(setting or []))
    spec.build()  # a wrong setting or a missing package is told before Ray starts
    kept = "every label so far is kept, and the same command goes on"
    with stoppable(lambda: kept), bar("labels") as advance:
        ensure_ray()

        def tell(state: LabelProgress) -> None:
            advance(state.done, state.total)

        run = label_dataset(
            crystal,
            spec,
            out,
            rules=rules,
            n=num,
            configurations=None if given is None else [r.configuration for r in given],
            sampling=sampling.value,
            seed=seed,
            exclude=excluded,
            retry_failed=retry_failed,
            limits=PoolLimits(max_in_flight=parallel, timeout_s=timeout),
            on_progress=tell,
        )
    _tell(run, fmt)


@app.command()
def describe(path: PathArgument, host: HostOption = None, fmt: FormatOption = Format.table) -> None:
    """Say what a dataset holds, in numbers."""
    from defects.datasets import describe as describe_dataset
    from defects.datasets import resolve_dataset

    facts = describe_dataset(resolve_dataset(path, host))
    if fmt is Format.json:
        print_json(facts)
        return
    from design_loop.tables import dataset_tables

    print_tables(*dataset_tables(facts))


def _settings(pairs: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` with YAML values: numbers, true, text, lists."""
    import yaml

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--setting {pair}: write KEY=VALUE")
        try:
            found[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"--setting {pair}: the value is not readable ({error})") from error
    return found


def _tell(run: LabelRun, fmt: Format) -> None:
    """Print what a labelling run did; an exit code other than 0 if anything failed in it."""
    if fmt is Format.json:
        from dataclasses import asdict

        print_json(asdict(run) | {"path": str(run.path)})
    else:
        for key, error in run.failures.items():
            typer.echo(f"failed: {key}: {error}", err=True)
        typer.echo(
            f"{run.path}: {run.structures} labelled structures, {run.labelled} new, "
            f"{run.failed} failed, {run.seconds:.0f} s"
        )
    if run.failed:
        raise typer.Exit(1)
