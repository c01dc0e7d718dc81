"""Starting and steering campaigns over HTTP."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI

from defects.errors import DesignLoopError
from design_loop import steering
from design_loop.detached import TooManyError, drivers, launch
from design_loop.ledger import Action, Ledger, LedgerError
from design_loop.server.access import LedgerAccess, find_campaign
from design_loop.server.admission import admit, redact
from design_loop.server.listing import Name
from design_loop.server.schemas import CampaignBodySchema, CampaignCard, ControlReply, ExtendBody
from design_loop.server.settings import CampaignsSettings
from design_loop.workdir import WorkdirError
from serve.errors import ApiError
from serve.openapi import errors

log = logging.getLogger(__name__)

BY = "HTTP"
#: What a campaign's folder and ledger need at the least, bytes.
_ROOM = 200_000_000

CampaignBody = Annotated[dict[str, Any], Body(), CampaignBodySchema]


def add_control(app: FastAPI, settings: CampaignsSettings, access: LedgerAccess) -> None:
    """Add the routes that start and steer. They run in threads, since databases wait."""

    @app.post(
        "/v1/campaigns",
        response_model=CampaignCard,
        status_code=201,
        responses=errors(403, 409, 429),
    )
    def start(body: CampaignBody) -> Any:
        """Start a campaign: the content of a campaign file as JSON, with the names served here."""
        from design_loop.campaign.driver import create

        _check_room(settings)
        config = admit(body, settings)
        with access() as ledger:
            try:
                name = create(config, settings.workdir, settings.ledger)
            except LedgerError:
                raise
            except WorkdirError as error:
                log.error("%s", error)
                text = "the server cannot write its campaigns; see its log"
                raise ApiError(503, "unavailable", text) from error
            except DesignLoopError as error:
                raise ApiError(422, "invalid_campaign", redact(str(error))[:500]) from error
            try:
                _launch(ledger, name, settings)
            except ApiError:
                ledger.ask(name, Action.STOP, BY)  # it never began; `resume` may take it up
                raise
            return CampaignCard.of(ledger, find_campaign(ledger, name))

    @app.post(
        "/v1/campaigns/{campaign}/pause", response_model=ControlReply, responses=errors(404, 409)
    )
    def pause(campaign: Name) -> Any:
        """Pause at the next safe point: between steps, between oracle calls."""
        return _halt(campaign, Action.PAUSE)

    @app.post(
        "/v1/campaigns/{campaign}/stop", response_model=ControlReply, responses=errors(404, 409)
    )
    def stop(campaign: Name) -> Any:
        """End at the next safe point; only resume takes it up again."""
        return _halt(campaign, Action.STOP)

    @app.post(
        "/v1/campaigns/{campaign}/resume",
        response_model=ControlReply,
        responses=errors(403, 404, 409, 429),
    )
    def resume(campaign: Name) -> Any:
        """Go on; or take back a pause or stop that its driver has not acted on yet."""
        with access() as ledger:
            name = find_campaign(ledger, campaign).id
            if ledger.driver(name) is not None and ledger.withdraw(name) is not None:
                text = f"{name}: what was asked for is withdrawn, its driver goes on"
                return _reply(ledger, name, text)
            _launch(ledger, name, settings)
            return _reply(ledger, name, f"{name}: its driver is starting")

    @app.post(
        "/v1/campaigns/{campaign}/extend", response_model=ControlReply, responses=errors(404, 409)
    )
    def extend(campaign: Name, body: ExtendBody) -> Any:
        """Add rounds, or change the oracle calls per round; a running campaign takes it up."""
        with access() as ledger:
            name = find_campaign(ledger, campaign).id
            rounds = steering.current_config(ledger, name).rounds + (body.rounds or 0)
            for what, value, most in (
                ("rounds", rounds, settings.max_rounds),
                ("budget", body.budget or 0, settings.max_budget),
            ):
                if value > most:
                    text = f"{what}: {value} is more than the {most} that this server allows"
                    raise ApiError(422, "invalid_campaign", text)
            answer = steering.extend(ledger, name, body.rounds, body.budget, BY, stage=body.stage)
            return _reply(ledger, name, answer.text)

    def _halt(campaign: str, action: Action) -> ControlReply:
        with access() as ledger:
            name = find_campaign(ledger, campaign).id
            return _reply(ledger, name, steering.halt(ledger, name, action, BY).text)


def _launch(ledger: Ledger, campaign: str, settings: CampaignsSettings) -> None:
    """Start a driver of its own, unless as many run as may.

    Raises
    ------
    ApiError
        409 where nothing can be resumed, 429 where as many run as may, 503 where the process could
        not be started.
    """
    folder = Path(ledger.campaign(campaign).workdir)
    if folder != settings.workdir.absolute():
        raise ApiError(409, "not_here", "the campaign's files are not on this server")
    if settings.max_running == 0:
        raise ApiError(403, "not_started_here", "this server starts no campaigns")
    state = ledger.check_resume(campaign)
    try:
        launch(campaign, folder, settings.ledger, state, settings.max_running)
    except TooManyError as error:
        raise ApiError(429, "too_many_campaigns", str(error)) from error
    except DesignLoopError as error:
        log.error("%s", error)
        raise ApiError(503, "not_started", redact(str(error))) from error


def _check_room(settings: CampaignsSettings) -> None:
    """Refuse early what could not run: no place, or no disk."""
    if settings.max_running == 0:
        raise ApiError(403, "not_started_here", "this server starts no campaigns")
    settings.workdir.mkdir(parents=True, exist_ok=True)
    running = len(drivers(settings.workdir))
    if running >= settings.max_running:
        raise ApiError(
            429,
            "too_many_campaigns",
            f"{running} campaigns run already, which is as many as may run at a time",
        )
    if shutil.disk_usage(settings.workdir).free < _ROOM:
        raise ApiError(503, "no_room", "the server's disk is nearly full")


def _reply(ledger: Ledger, campaign: str, text: str) -> ControlReply:
    asked = ledger.pending_request(campaign)
    return ControlReply(
        id=campaign,
        state=str(ledger.campaign(campaign).state),
        asked=None if asked is None else str(asked.action),
        message=text,
    )
