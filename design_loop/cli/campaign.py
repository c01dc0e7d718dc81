"""``design-loop campaign``: run, resume, list, show, export, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defects.errors import DesignLoopError
from design_loop.cli.doctor import doctor
from design_loop.cli.exchange import export, import_labels
from design_loop.cli.output import (
    WORKDIR,
    Format,
    FormatOption,
    StoreOption,
    WorkdirOption,
    print_json,
    print_tables,
    same_place,
    stoppable,
    store_target,
)
from design_loop.cli.show import show
from design_loop.cli.steering import extend, fork, pause, stop, submit
from design_loop.cli.track import track
from design_loop.cli.watch import watch

if TYPE_CHECKING:
    from design_loop.config import CampaignConfig
    from design_loop.ledger import Ledger
    from design_loop.progress import Progress
    from design_loop.summary import CampaignSummary

app = typer.Typer(
    help="Run campaigns, look at them, take their candidates out.", no_args_is_help=True
)

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Campaign, or the beginning of its id.")
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="In the background, whatever becomes of this shell.")
]


@app.command()
def run(
    file: Annotated[
        str, typer.Argument(metavar="FILE.yaml", help="Campaign file, or a shipped one's name.")
    ],
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
    proposer: Annotated[
        str | None,
        typer.Option(
            help="Propose with this instead of what the file says, at the same budget: llm, "
            "random, genetic, tpe, gibbs, nearest, hybrid, or another arm of `bench compare`. "
            "The campaign is named for it: NAME-PROPOSER.",
            show_default=False,
        ),
    ] = None,
    detach: DetachOption = False,
) -> None:
    """Run a campaign to its end."""
    config = read_campaign(file)
    if proposer is not None:
        from design_loop.compare.arms import with_proposer

        config = with_proposer(config, proposer)
    if detach:
        from design_loop.campaign.driver import create

        _detach(create(config, workdir, store_target(workdir, store)), workdir, store)
        return

    def drive(progress: Progress) -> CampaignSummary:
        from design_loop.campaign import run_campaign

        return run_campaign(config, workdir, store_target(workdir, store), progress)

    _drive(drive, workdir, store)


@app.command()
def resume(
    campaign: IdArgument,
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
    detach: DetachOption = False,
) -> None:
    """Go on with a campaign that was paused, stopped, killed or failed; nothing is done twice."""
    with _ledger(workdir, store, upgrade=True) as ledger:
        found = ledger.campaign(campaign).id
        withdrawn = ledger.withdraw(found) if ledger.driver(found) is not None else None
    if withdrawn is not None:
        typer.echo(f"{found}: its driver had not come to a halt yet; the {withdrawn} is withdrawn")
        return
    if detach:
        _detach(found, workdir, store)
        return

    def drive(progress: Progress) -> CampaignSummary:
        from design_loop.campaign import resume_campaign

        return resume_campaign(found, workdir, store_target(workdir, store), progress)

    _drive(drive, workdir, store)


@app.command(name="list")
def list_(
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
    fmt: FormatOption = Format.table,
) -> None:
    """List the campaigns of a ledger, the newest first."""
    with _ledger(workdir, store) as ledger:
        campaigns = ledger.campaigns()
    if fmt is Format.json:
        print_json([_campaign_dict(c) for c in campaigns])
        return
    from design_loop.tables import campaigns_table

    print_tables(campaigns_table(campaigns))


app.command()(show)
app.command()(watch)
app.command()(track)
app.command()(pause)
app.command()(stop)
app.command()(extend)
app.command()(fork)
app.command()(submit)


app.command()(export)
app.command("import-labels")(import_labels)
app.command()(doctor)


@app.command()
def report(
    campaign: IdArgument,
    out: Annotated[
        Path, typer.Option(metavar="FILE.html", help="File to write.", show_default=False)
    ],
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
) -> None:
    """Write the report of a campaign: one HTML file that needs nothing else."""
    from design_loop.report import write_report

    with _ledger(workdir, store) as ledger:
        write_report(ledger, campaign, out)
    typer.echo(str(out))


def read_campaign(file: str) -> CampaignConfig:
    """A campaign file, or a shipped campaign where there is no such file."""
    from design_loop.config import load_campaign, load_preset, preset_names

    if not Path(file).exists() and file in preset_names():
        return load_preset(file)
    return load_campaign(file)


def read_campaign_text(file: str) -> tuple[CampaignConfig, str]:
    """A campaign file or a shipped campaign, checked against itself only, and its text."""
    from design_loop.config import parse_campaign, preset_names, preset_path
    from design_loop.config.loading import campaign_text

    path = Path(file).expanduser()
    if not path.exists() and file in preset_names():
        path = preset_path(file)
    text = campaign_text(path)
    return parse_campaign(text, file), text


def _drive(drive: Callable[[Progress], CampaignSummary], workdir: Path, store: str | None) -> None:
    """Run or resume under a display; afterwards leave files and print the best candidates.

    Neither needs a reader: where the output was closed, all of it happens unseen, and only then the
    command ends like any whose output was not read.
    """
    from design_loop.progress.lasting import lasting_output

    with lasting_output() as out:
        _drive_shown(drive, workdir, store)
    if out.error is not None:
        raise out.error


def _drive_shown(
    drive: Callable[[Progress], CampaignSummary], workdir: Path, store: str | None
) -> None:
    from design_loop.progress import campaign_progress

    progress = campaign_progress()
    with stoppable(lambda: f"nothing is lost. {_how(progress, workdir, store)}"):
        try:
            with progress:
                summary = drive(progress)
        except (DesignLoopError, OSError) as error:
            if progress.campaign:
                error.add_note(f"The campaign stopped. {_how(progress, workdir, store)}")
            raise
    from design_loop.results import leave_results
    from design_loop.tables import candidates_table, times_table

    with _ledger(workdir, store) as ledger:
        folder = leave_results(ledger, summary)
    if summary.campaign.state in ("paused", "stopped"):
        how = _how(progress, workdir, store)
        typer.echo(f"{summary.campaign.id} is {summary.campaign.state} as asked. {how}", err=True)
        raise typer.Exit(130)
    print_tables(times_table(summary.rounds), candidates_table(summary))
    typer.echo(f"Everything is in {folder}; the report is {folder / 'report.html'}")
    if summary.campaign.state == "waiting":
        typer.echo(f"{summary.campaign.id} {summary.campaign.error}")


def _detach(campaign: str, workdir: Path, store: str | None) -> None:
    """Have a campaign driven in the background."""
    from design_loop.detached import launch

    target = store_target(workdir, store)
    with _ledger(workdir, store, upgrade=True) as ledger:
        folder = Path(ledger.campaign(campaign).workdir)
        state = ledger.check_resume(campaign)
    pid = launch(campaign, folder, target, state)
    place = same_place(workdir, store)
    typer.echo(f"{campaign} runs in the background (process {pid}), whatever becomes of this shell")
    typer.echo(f"Look at it with: design-loop campaign watch {campaign}{place}")
    typer.echo(f"Stop it with: design-loop campaign stop {campaign}{place}")


def _how(progress: Progress, workdir: Path, store: str | None) -> str:
    """The command that goes on, with the options that this one had."""
    if not progress.campaign:
        return "No campaign had begun."
    place = same_place(workdir, store)
    return f"Go on with: design-loop campaign resume {progress.campaign}{place}"


def _ledger(workdir: Path, store: str | None, *, upgrade: bool = False) -> Ledger:
    """An existing ledger; who drives a campaign brings an older one up to date."""
    from design_loop.ledger import Ledger

    return Ledger(store_target(workdir, store), create=False, upgrade=upgrade)


def _campaign_dict(campaign: Any) -> dict[str, Any]:
    return {
        "id": campaign.id,
        "name": campaign.name,
        "state": str(campaign.state),
        "host": campaign.config.get("host"),
        "seed": campaign.seed,
        "workdir": campaign.workdir,
        "created": campaign.created.isoformat(),
        "updated": campaign.updated.isoformat(),
        "error": campaign.error,
        "versions": dict(campaign.versions),
    }
