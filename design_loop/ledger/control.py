"""What people ask of a campaign, while it runs or not: requests and amendments.

A request waits as a row until the driver comes to a safe point. An amendment is a row of its own:
the configuration that a campaign began with stays what it was.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from design_loop.ledger import queries, writes
from design_loop.ledger import tables as t
from design_loop.ledger.errors import LedgerError, TransitionError
from design_loop.ledger.lease import driver_of
from design_loop.ledger.reader import LedgerReader
from design_loop.ledger.states import Action, CampaignState, Outcome, StepState, why_not
from design_loop.ledger.steering_records import Amendment, ControlRequest

#: The state that a request leads to.
LEADS_TO = {Action.PAUSE: CampaignState.PAUSED, Action.STOP: CampaignState.STOPPED}


def asker() -> str:
    """Who asks: user and machine."""
    name = "somebody"
    with suppress(KeyError, OSError):  # a container may have no name for its user
        name = getpass.getuser()
    return f"{name} on {socket.gethostname()}"


class LedgerControl(LedgerReader):
    """Steer campaigns; see `LedgerReader` for reading them."""

    def _write(self, campaign: str) -> AbstractContextManager[Connection]:
        """A write that checks the lease, where this process holds one."""
        raise NotImplementedError

    def ask(self, campaign: str, action: Action, by: str | None = None) -> bool:
        """Ask for a pause or a stop.

        Without a living driver it happens at once. Asking twice is asking once; a stop replaces a
        pause.

        Returns
        -------
        bool
            Whether it has happened; False while the driver still has to come to a safe point.

        Raises
        ------
        TransitionError
            There is nothing that could be paused or stopped.
        """
        with self._database.write() as connection:
            state = _locked_state(connection, campaign)
            _refuse(campaign, action, state)
            waiting = _open_request(connection, campaign)
            if driver_of(connection, campaign) is None:
                _settle(connection, waiting, Outcome.REPLACED)
                _add_request(connection, campaign, action, by, Outcome.DONE)
                _set_state(connection, campaign, state, LEADS_TO[action])
                return True
            if waiting is None or (waiting.action == Action.PAUSE and action is Action.STOP):
                _settle(connection, waiting, Outcome.REPLACED)
                _add_request(connection, campaign, action, by)
            elif waiting.action != action:
                raise TransitionError(f"{campaign}: cannot {action}: it is being stopped")
            return False

    def withdraw(self, campaign: str) -> Action | None:
        """Take back what the driver has not acted on yet; returns what that was."""
        with self._database.write() as connection:
            _locked_state(connection, campaign)
            waiting = _open_request(connection, campaign)
            _settle(connection, waiting, Outcome.WITHDRAWN)
            return None if waiting is None else Action(waiting.action)

    def pending_request(self, campaign: str) -> ControlRequest | None:
        """Return what the driver has still to act on."""
        with self._database.read() as connection:
            row = _open_request(connection, campaign)
        return None if row is None else _request(row)

    def requests(self, campaign: str) -> list[ControlRequest]:
        """Return everything that was ever asked for, in order."""
        c = t.requests.c
        with self._database.read() as connection:
            statement = select(t.requests).where(c.campaign == campaign).order_by(c.id)
            return [_request(row) for row in connection.execute(statement)]

    def driver(self, campaign: str) -> Mapping[str, Any] | None:
        """Return host and process of the living driver, as far as can be told; None without."""
        with self._database.read() as connection:
            return driver_of(connection, campaign)

    def check_resume(self, campaign: str) -> CampaignState:
        """Return the state that a resume starts from; what was asked of a dead driver is dropped.

        Raises
        ------
        TransitionError
            The campaign is done, or its driver is at work.
        """
        with self._database.write() as connection:
            state = _locked_state(connection, campaign)
            _refuse(campaign, Action.RESUME, state)
            owner = driver_of(connection, campaign)
            if owner is not None:
                raise TransitionError(
                    f"{campaign}: cannot resume: its driver is at work (process {owner['pid']} on "
                    f"{owner['host']})"
                )
            _settle(connection, _open_request(connection, campaign), Outcome.WITHDRAWN)
            return state

    # -- the driver's side

    def begin(self, campaign: str, expected: CampaignState) -> None:
        """Mark a campaign running.

        Raises
        ------
        TransitionError
            It is no longer in the state `expected`: somebody paused or stopped it meanwhile.
        """
        with self._write(campaign) as connection:
            state = _locked_state(connection, campaign)
            if state is not expected:
                raise TransitionError(
                    f"{campaign}: is {state} by now; `design-loop campaign resume` goes on"
                )
            _set_state(connection, campaign, state, CampaignState.RUNNING)

    def act_on_request(self, campaign: str) -> CampaignState | None:
        """Bring the campaign into the state asked for; None where the request was withdrawn."""
        with self._write(campaign) as connection:
            state = _locked_state(connection, campaign)
            waiting = _open_request(connection, campaign)
            if waiting is None:
                return None
            _settle(connection, waiting, Outcome.DONE)
            following = LEADS_TO[Action(waiting.action)]
            _set_state(connection, campaign, state, following)
            return following

    def finish_campaign(self, campaign: str, rounds: int) -> bool:
        """Mark a campaign done after `rounds`, unless it was extended beyond them meanwhile."""
        with self._write(campaign) as connection:
            state = _locked_state(connection, campaign)
            config = connection.execute(
                select(t.campaigns.c.config).where(t.campaigns.c.id == campaign)
            ).scalar_one()
            added = sum(a.rounds or 0 for a in queries.amendments(connection, campaign))
            if config["rounds"] + added > rounds:
                return False
            _settle(connection, _open_request(connection, campaign), Outcome.TOO_LATE)
            _set_state(connection, campaign, state, CampaignState.DONE)
            return True

    def set_campaign_state(
        self, campaign: str, state: CampaignState, error: str | None = None
    ) -> None:
        """Record where the campaign stands.

        Raises
        ------
        TransitionError
            The state does not follow on the present one (`states.TRANSITIONS`).
        """
        with self._write(campaign) as connection:
            before = _locked_state(connection, campaign)
            _set_state(connection, campaign, before, CampaignState(state), error)

    # -- amendments

    def extend(
        self,
        campaign: str,
        *,
        rounds: int | None = None,
        budget: int | None = None,
        stage: int = 1,
        by: str | None = None,
    ) -> Amendment:
        """Add rounds, or change the oracle calls per round of a stage's choices to come.

        A campaign that is done and gets rounds is paused afterwards: it can be resumed. A running
        one learns of it between two steps.

        Raises
        ------
        TransitionError
            The campaign failed; see `states.why_not`.
        """
        if not rounds and not budget:
            raise LedgerError(f"{campaign}: an extension needs rounds or a budget")
        with self._database.write() as connection:
            state = _locked_state(connection, campaign)
            _refuse(campaign, Action.EXTEND, state)
            if state is CampaignState.DONE and not rounds:
                raise TransitionError(
                    f"{campaign}: cannot extend: it is done, so a budget alone changes nothing; "
                    "add rounds, too"
                )
            number = 1 + len(queries.amendments(connection, campaign))
            first = _next_choice(connection, campaign, stage) if budget else 1
            made = Amendment(number, writes.now(), rounds, budget, by or asker(), stage, first)
            row = {"campaign": campaign} | asdict(made)
            if not budget:
                row |= {"stage": None, "first_round": None}
            connection.execute(t.amendments.insert(), row)
            if state is CampaignState.DONE:
                _set_state(connection, campaign, state, CampaignState.PAUSED)
            return made


def _next_choice(connection: Connection, campaign: str, stage: int) -> int:
    """First round in which what a stage of the oracle computes has still to be chosen."""
    name, table = ("select", t.selections) if stage == 1 else ("verify", t.stage_calls)
    steps, chosen = t.steps.c, select(func.max(table.c.round)).where(table.c.campaign == campaign)
    if stage > 1:
        chosen = chosen.where(t.stage_calls.c.stage == stage)
    closed = [StepState.DONE]  # there may have been nothing to choose
    if stage == 1 and driver_of(connection, campaign) is not None:
        # A selection at work has read the budget; a driver that died in it will read it again.
        closed.append(StepState.RUNNING)
    passed = select(func.max(steps.round)).where(
        steps.campaign == campaign, steps.name == name, steps.state.in_(closed)
    )
    found = (connection.execute(statement).scalar_one() for statement in (chosen, passed))
    return 1 + max(number or 0 for number in found)


def _locked_state(connection: Connection, campaign: str) -> CampaignState:
    """The state, held against changes by others until this transaction ends."""
    c = t.campaigns.c
    found = connection.execute(
        select(c.state).where(c.id == campaign).with_for_update()
    ).scalar_one_or_none()
    if found is None:
        raise LedgerError(f"{campaign}: no such campaign")
    return CampaignState(found)


def _refuse(campaign: str, action: Action, state: CampaignState) -> None:
    reason = why_not(action, state)
    if reason is not None:
        raise TransitionError(f"{campaign}: cannot {action}: {reason}")


def _set_state(
    connection: Connection,
    campaign: str,
    before: CampaignState,
    state: CampaignState,
    error: str | None = None,
) -> None:
    if state not in before.following:
        raise TransitionError(f"{campaign}: is {before}, and {state} does not follow on that")
    connection.execute(
        update(t.campaigns)
        .where(t.campaigns.c.id == campaign)
        .values(state=state, error=error, updated=writes.now())
    )


def _open_request(connection: Connection, campaign: str) -> Row[Any] | None:
    c = t.requests.c
    statement = select(t.requests).where(c.campaign == campaign, c.outcome.is_(None))
    return connection.execute(statement.order_by(c.id.desc())).first()


def _add_request(
    connection: Connection,
    campaign: str,
    action: Action,
    by: str | None,
    outcome: Outcome | None = None,
) -> None:
    now = writes.now()
    row = {"campaign": campaign, "action": action, "time": now, "by": by or asker(),
           "answered": None if outcome is None else now, "outcome": outcome}  # fmt: skip
    connection.execute(t.requests.insert(), row)


def _settle(connection: Connection, request: Row[Any] | None, outcome: Outcome) -> None:
    if request is not None:
        connection.execute(
            update(t.requests)
            .where(t.requests.c.id == request.id)
            .values(answered=writes.now(), outcome=outcome)
        )


def _request(row: Row[Any]) -> ControlRequest:
    outcome = None if row.outcome is None else Outcome(row.outcome)
    return ControlRequest(Action(row.action), row.time, row.by, row.answered, outcome)
