"""``design-loop campaign pause``, ``stop``, ``extend`` and ``fork``: steering, running or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from design_loop.cli.output import (
    WORKDIR,
    StoreOption,
    UsageError,
    WorkdirOption,
    same_place,
    store_target,
)

if TYPE_CHECKING:
    from design_loop.ledger import Action, Ledger

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Campaign, or the beginning of its id.")
]


def pause(
    campaign: IdArgument, workdir: WorkdirOption = WORKDIR, store: StoreOption = None
) -> None:
    """Pause a campaign at its next safe point: between steps, between oracle calls."""
    from design_loop.ledger import Action

    _halt(campaign, Action.PAUSE, workdir, store)


def stop(campaign: IdArgument, workdir: WorkdirOption = WORKDIR, store: StoreOption = None) -> None:
    """End a campaign at its next safe point; only `resume` takes it up again."""
    from design_loop.ledger import Action

    _halt(campaign, Action.STOP, workdir, store)


def extend(
    campaign: IdArgument,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Further rounds.", show_default=False)
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Oracle calls in each round that comes.",
            show_default=False,
        ),
    ] = None,
    stage: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Stage of the oracle that --budget is of, from 1, the cheapest.",
            show_default="1",
        ),
    ] = None,
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
) -> None:
    """Add rounds to a campaign, or change its oracle budget; a running one takes it up."""
    from design_loop import steering

    if rounds is None and budget is None:
        raise UsageError("say what to add: --rounds N, --budget B, or both")
    with _ledger(workdir, store) as ledger:
        found = ledger.campaign(campaign).id
        answer = steering.extend(ledger, found, rounds, budget, stage=stage)
        typer.echo(answer.text)
        if ledger.driver(found) is None:
            typer.echo(_go_on(found, workdir, store))


def fork(
    campaign: IdArgument,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE.yaml]", help="Campaign file of the fork.", show_default=False
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Instead of a file: homo_lumo_gap=1.2..1.4. Again for each target."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="With --target: name of the fork.", show_default=False)
    ] = None,
    keep_models: Annotated[
        bool,
        typer.Option(
            "--keep-models", help="Begin with the last adapter and surrogate as they are."
        ),
    ] = False,
    workdir: WorkdirOption = WORKDIR,
    store: StoreOption = None,
) -> None:
    """Make a campaign with other targets that knows every label of this one."""
    from design_loop.cli.campaign import read_campaign
    from design_loop.forking import fork_campaign, with_targets
    from design_loop.steering import current_config
    from design_loop.workdir import make_workdir

    if (file is None) == (not target):
        raise UsageError("a fork needs other targets: either FILE.yaml, or --target ...")
    if file is not None and name is not None:
        raise UsageError("--name goes with --target; a file has a name of its own")
    with _ledger(workdir, store) as ledger:
        parent = ledger.campaign(campaign).id
        if file is not None:
            config = read_campaign(file)
        else:
            config = with_targets(current_config(ledger, parent), target or [], name)
        folder = make_workdir(workdir)
        made = fork_campaign(ledger, parent, config, folder, keep_models=keep_models)
    typer.echo(
        f"{made.campaign}: forked from {parent}, {made.labels} labels taken over, {made.hits} of "
        "them meet all targets"
    )
    typer.echo(_go_on(made.campaign, workdir, store, "Start it with"))


def submit(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE.yaml]", help="Campaign file.", show_default=False)
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Instead: go on with a campaign of the cluster.", show_default=False
        ),
    ] = None,
    address: Annotated[
        str, typer.Option(help="The cluster's job server; `ray dashboard` makes a tunnel to it.")
    ] = "http://127.0.0.1:8265",
    workdir: Annotated[
        Path, typer.Option(help="Folder of campaigns on the head node, a whole path.")
    ] = Path("/tmp/design-loop"),
    store: Annotated[
        str | None,
        typer.Option(
            help="Ledger as the cluster sees it: postgresql://USER@HOST/NAME, or a file on the "
            "head node.",
            show_default="WORKDIR/ledger.sqlite on the head node",
        ),
    ] = None,
) -> None:
    """Hand a campaign to a Ray cluster; it goes on there when this machine is switched off."""
    from design_loop.cli.campaign import read_campaign_text
    from design_loop.submit import check_file, check_store
    from design_loop.submit import submit as hand_over

    if (file is None) == (resume is None):
        raise UsageError("say what to submit: FILE.yaml, or --resume ID")
    if not workdir.is_absolute():
        raise UsageError(f"--workdir {workdir}: write the whole path on the head node")
    target = check_store(store_target(workdir, store), address)
    text = None
    if file is not None:
        config, text = read_campaign_text(file)
        check_file(config)
    made = hand_over(text, resume, address=address, workdir=str(workdir), store=target)
    name = made.campaign or "its campaign has not begun yet"
    typer.echo(f"job {made.job} on {address}: {name}")
    if "://" in target:
        typer.echo(
            "The ledger is in the database: `campaign watch`, `pause`, `extend` work from here"
        )
    else:
        typer.echo(
            f"The ledger is {target} on the head node: it ends with that machine. With "
            "--store postgresql://... it would outlive it, and could be looked at from here"
        )
    typer.echo(f"Its output: ray job logs --address {address} --follow {made.job}")
    typer.echo("Should the cluster's head die: design-loop campaign submit --resume ID ...")


def _halt(campaign: str, action: Action, workdir: Path, store: str | None) -> None:
    from design_loop import steering

    with _ledger(workdir, store) as ledger:
        answer = steering.halt(ledger, ledger.campaign(campaign).id, action)
    typer.echo(answer.text)
    if answer.pending is None:
        typer.echo(_go_on(answer.campaign, workdir, store))


def _go_on(campaign: str, workdir: Path, store: str | None, what: str = "Go on with") -> str:
    return f"{what}: design-loop campaign resume {campaign}{same_place(workdir, store)}"


def _ledger(workdir: Path, store: str | None) -> Ledger:
    """An existing ledger that may be written."""
    from design_loop.ledger import Ledger

    return Ledger(store_target(workdir, store), create=False, upgrade=True)
