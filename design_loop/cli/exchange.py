"""``design-loop campaign export`` and ``import-labels``: to other programs and back."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from design_loop.cli.output import (
    WORKDIR,
    Format,
    FormatOption,
    StoreOption,
    UsageError,
    WorkdirOption,
    print_json,
    same_place,
    store_target,
)

if TYPE_CHECKING:
    from design_loop.imports import ImportReport

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Campaign, or the beginning of its id.")
]


class ExportFormat(StrEnum):
    """What ``campaign export`` writes."""

    cif = "cif"
    poscar = "poscar"
    extxyz = "extxyz"
    ase_db = "ase-db"
    json = "json"
    csv = "csv"
    vasp = "vasp"


def export(
    campaign: IdArgument,
    out: Annotated[Path, typer.Option(help="Folder to write to.", show_default=False)],
    fmt: Annotated[ExportFormat, typer.Option("--format", help="What to write.")],
    top: Annotated[int | None, typer.Option(min=1, help="Only so many of the best.")] = None,
    hits: Annotated[bool, typer.Option("--hits", help="Only those that meet all targets.")] = False,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Instead those that wait for labels from outside.")
    ] = False,
    ideal: Annotated[
        bool, typer.Option("--ideal", help="Ideal sites also where a relaxed structure is known.")
    ] = False,
    incar: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG=VALUE", help="vasp: an INCAR tag; TAG=none removes one. Again."),
    ] = None,
    relax: Annotated[bool, typer.Option("--relax", help="vasp: relax the atoms.")] = False,
    k_spacing: Annotated[
        float | None,
        typer.Option(help="vasp: largest distance of k-points, 1/Å.", show_default="0.3"),
    ] = None,
    potcar: Annotated[
        list[str] | None,
        typer.Option(metavar="W=W_pv", help="vasp: potential of an element; again."),
    ] = None,
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
) -> None:
    """Write the labelled candidates as files, the best first, or what waits for labels."""
    from design_loop.export import export_candidates, waiting_candidates
    from design_loop.export.items import relaxed_structures
    from design_loop.ledger import Ledger
    from design_loop.summary import summarise_campaign

    given = {"--incar": incar, "--relax": relax, "--potcar": potcar}
    only_vasp = given | {"--k-spacing": k_spacing is not None}
    if fmt is not ExportFormat.vasp and (wrong := [k for k, v in only_vasp.items() if v]):
        raise UsageError(f"{wrong[0]} goes with --format vasp")
    inputs = _vasp_inputs(incar, relax, k_spacing, potcar) if fmt is ExportFormat.vasp else None
    with Ledger(store_target(workdir, store), create=False) as ledger:
        summary = summarise_campaign(ledger, campaign)
        if waiting:
            summary = waiting_candidates(ledger, summary)
            if not summary.candidates:
                typer.echo(f"{summary.campaign.id} waits for no labels; nothing was written")
                return
        moved = {} if ideal else relaxed_structures(ledger, summary.candidates)
    files = export_candidates(
        summary, fmt.value, out, top=top, only_hits=hits, relaxed=moved, vasp=inputs
    )
    what = "folders and files" if fmt is ExportFormat.vasp else "files"
    typer.echo(f"{len(files)} {what if len(files) > 1 else 'file'} in {out}")


def import_labels(
    campaign: IdArgument,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help=".csv, .extxyz, .db (ASE), a dataset folder, or a folder of VASP runs.",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(help="Where they come from, for the record; by default the file's name."),
    ] = None,
    pristine_energy: Annotated[
        float | None, typer.Option(help="Energy of the pristine supercell, eV.")
    ] = None,
    potential: Annotated[
        list[str] | None,
        typer.Option(metavar="S=-4.1", help="Chemical potential, eV per atom; again."),
    ] = None,
    give_up_failed: Annotated[
        bool, typer.Option("--give-up-failed", help="Do not wait for calculations that failed.")
    ] = False,
    give_up_rest: Annotated[
        bool, typer.Option("--give-up-rest", help="Do not wait for what is still missing.")
    ] = False,
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
    fmt: FormatOption = Format.table,
) -> None:
    """Record labels from outside as verified; doing it again changes nothing.

    Candidates are told by their structure or by their key. Exit code 1 if anything was not
    recorded because it contradicts what is known or cannot be read.
    """
    from design_loop.imports import References, import_labels
    from design_loop.ledger import Ledger

    name = source or path.name
    if not name.isprintable() or len(name) > 100:
        raise UsageError("--source is a short name")
    references = References(pristine_energy, _potentials(potential or []))
    with Ledger(store_target(workdir, store), create=False, upgrade=True) as ledger:
        found = ledger.campaign(campaign).id
        report = import_labels(
            ledger,
            found,
            path,
            name,
            references,
            give_up_failed=give_up_failed,
            give_up_rest=give_up_rest,
        )
        state = str(ledger.campaign(found).state)
    _tell(report, found, state, same_place(workdir, store), fmt)
    if report.conflicts or report.problems:
        raise typer.Exit(1)


def _tell(report: ImportReport, campaign: str, state: str, place: str, fmt: Format) -> None:
    if fmt is Format.json:
        from dataclasses import asdict

        print_json({"campaign": campaign, "state": state, **asdict(report)})
        return
    for kind in ("problems", "conflicts", "unmatched", "warnings", "given_up"):
        for line in getattr(report, kind):
            typer.echo(f"{kind.removesuffix('s').replace('_', ' ')}: {line}", err=True)
    typer.echo(
        f"{len(report.recorded)} labels recorded, {len(report.unchanged)} were there already, "
        f"{len(report.unmatched)} without a candidate, {len(report.conflicts)} in conflict, "
        f"{len(report.problems)} unusable"
    )
    if report.waiting:
        typer.echo(f"{campaign} still waits for {report.waiting} labels")
    elif state == "waiting":
        typer.echo(f"Go on with: design-loop campaign resume {campaign}{place}")


def _vasp_inputs(
    incar: list[str] | None, relax: bool, k_spacing: float | None, potcar: list[str] | None
) -> Any:
    from pydantic import ValidationError

    from defects.vasp import VaspInputs, parse_incar

    symbols = dict(_pair("--potcar", pair) for pair in potcar or ())
    spacing: dict[str, Any] = {} if k_spacing is None else {"k_spacing": k_spacing}
    try:
        return VaspInputs(relax=relax, incar=parse_incar(incar or []), potcar=symbols, **spacing)
    except ValidationError as error:
        raise UsageError(f"--k-spacing: {error.errors()[0]['msg']}") from error


def _potentials(pairs: list[str]) -> dict[str, float]:
    found = {}
    for pair in pairs:
        element, value = _pair("--potential", pair)
        try:
            found[element] = float(value)
        except ValueError:
            raise UsageError(f"--potential {pair}: {value!r} is no number") from None
    return found


def _pair(option: str, text: str) -> tuple[str, str]:
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key or not value:
        raise UsageError(f"{option} {text}: write ELEMENT=VALUE")
    return key, value
