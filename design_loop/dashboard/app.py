"""The dashboard as a web application over a ledger; it knows neither Ray nor models."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from design_loop.dashboard import campaign_pages, candidate_pages
from design_loop.dashboard.frame import (
    BASE,
    HEADERS,
    address,
    asset,
    campaign_tabs,
    page,
    problem,
)
from design_loop.dashboard.home import campaign_list, nothing_yet
from design_loop.dashboard.live import Live, read_live
from design_loop.dashboard.login import add_login
from design_loop.dashboard.store import Store
from design_loop.ledger import Campaign, LedgerError, browsing, overviews
from design_loop.ledger.reader import LedgerReader
from design_loop.report.page import build_page
from design_loop.summary import summarise_campaign
from design_loop.views.html import Markup, tag
from design_loop.views.style import standalone
from serve.sessions import Sessions

log = logging.getLogger(__name__)

Number = Annotated[int, Query(ge=1, le=1_000_000)]
Round = Annotated[str, Query(pattern=r"^\d{0,6}$")]
_LIVE_SCRIPTS, _VIEWER_SCRIPTS = ("dashboard.js",), ("3Dmol-min.js", "viewer.js")
_FILES = {"cif": ("cif", "chemical/x-cif"), "vasp": ("poscar", "text/plain"),
          "extxyz": ("extxyz", "text/plain")}  # fmt: skip
#: A year: the address of such a file changes with its content.
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"} | {
    "X-Content-Type-Options": "nosniff"
}


def build_dashboard(store: Store, sessions: Sessions | None = None) -> FastAPI:
    """The pages, to be mounted at `frame.BASE`.

    Parameters
    ----------
    store : Store
        The ledger.
    sessions : Sessions, optional
        Of a server that asks for keys; it refuses those who have not logged in.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _add_errors(app, store)
    _add_home(app, store)
    _add_campaign(app, store)
    _add_candidates(app, store)
    _add_files(app, store)
    if sessions is not None:
        add_login(app, sessions)
    return app


def _add_errors(app: FastAPI, store: Store) -> None:
    @app.exception_handler(LedgerError)
    async def ledger_error(request: Request, error: LedgerError) -> Response:
        log.error("the dashboard cannot read the ledger: %s", error)
        return problem(503, "No ledger", store.words(error), _leave(request))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        title = "Not found" if error.status_code == 404 else "Error"
        return problem(error.status_code, title, str(error.detail), _leave(request))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        words = "This address asks for something that cannot be."
        return problem(422, "Not found", words, _leave(request))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        log.exception("unexpected error at %s", request.url.path, exc_info=error)
        words = "This page cannot be shown; see the server's log."
        return problem(500, "Error", words, _leave(request))


def _add_home(app: FastAPI, store: Store) -> None:
    def content(number: int) -> Markup:
        try:
            return campaign_list(store, store.reader(), number)
        except LedgerError as error:
            return nothing_yet(store.words(error))

    # Plain functions: the framework runs them in threads, where databases may wait.
    @app.get("/")
    def home(request: Request, page_: Annotated[int, Query(alias="page", ge=1)] = 1) -> Response:
        where = f"{address()}/list?page={page_}"
        listed = tag("div", content(page_), data_live=where, data_stamp="", data_wait=5)
        parts = [tag("h1", "Campaigns"), _connection(), listed]
        return page("Campaigns", parts, scripts=_LIVE_SCRIPTS, leave=_leave(request))

    @app.get("/list")
    def rows(page_: Annotated[int, Query(alias="page", ge=1)] = 1) -> Response:
        return _json(Live("", content(page_), 5))


def _add_campaign(app: FastAPI, store: Store) -> None:
    def body(ledger: LedgerReader, campaign: str, stamp: str) -> Markup:
        return store.piece(
            (campaign, stamp, "overview"), lambda: campaign_pages.overview(ledger, campaign)
        )

    @app.get("/campaigns/{name}")
    def overview(request: Request, name: str) -> Response:
        ledger = store.reader()
        found = _campaign(ledger, name)
        live = read_live(ledger, found)
        head = store.piece(
            (name, live.stamp, "title"),
            lambda: campaign_pages.title(summarise_campaign(ledger, name)),
        )
        parts = [
            head,
            _connection(),
            tag("div", live.html, data_live=address("campaigns", name, "live"),
                data_stamp=live.stamp, data_wait=live.wait_s),
            tag("div", body(ledger, name, live.stamp),
                data_refresh=address("campaigns", name, "body")),
        ]  # fmt: skip
        return page(
            name, parts, scripts=_LIVE_SCRIPTS, tabs=campaign_tabs(name, ""), leave=_leave(request)
        )

    @app.get("/campaigns/{name}/live")
    def live(name: str) -> Response:
        ledger = store.reader()
        return _json(read_live(ledger, _campaign(ledger, name)))

    @app.get("/campaigns/{name}/body")
    def refreshed(name: str) -> Response:
        ledger = store.reader()
        stamp = _stamp(ledger, _campaign(ledger, name).id)
        return _json(Live(stamp, body(ledger, name, stamp), 0))

    for tab, make in (
        ("agreement", campaign_pages.agreement),
        ("models", campaign_pages.models),
        ("settings", campaign_pages.settings),
        ("log", campaign_pages.log),
    ):
        app.get(f"/campaigns/{{name}}/{tab}")(_tab(store, tab, make))


def _tab(
    store: Store, tab: str, make: Callable[[LedgerReader, str], Markup]
) -> Callable[[Request, str], Response]:
    def show(request: Request, name: str) -> Response:
        ledger = store.reader()
        stamp = _stamp(ledger, _campaign(ledger, name).id)
        content = store.piece((name, stamp, tab), lambda: make(ledger, name))
        tabs = campaign_tabs(name, tab)
        return page(f"{name}, {tab}", [content], tabs=tabs, leave=_leave(request))

    return show


def _add_candidates(app: FastAPI, store: Store) -> None:
    @app.get("/campaigns/{name}/candidates")
    def candidates(
        request: Request,
        name: str,
        which: str = "labelled",
        round_: Annotated[Round, Query(alias="round")] = "",
        page_: Annotated[Number, Query(alias="page")] = 1,
    ) -> Response:
        ledger = store.reader()
        _campaign(ledger, name)
        content = candidate_pages.candidate_list(ledger, name, which, _number(round_), page_)
        tabs = campaign_tabs(name, "candidates")
        return page(f"{name}, candidates", [content], tabs=tabs, leave=_leave(request))

    @app.get("/campaigns/{name}/samples")
    def samples(
        request: Request,
        name: str,
        reason: Annotated[str, Query(max_length=64)] = "",
        round_: Annotated[Round, Query(alias="round")] = "",
        page_: Annotated[Number, Query(alias="page")] = 1,
    ) -> Response:
        ledger = store.reader()
        _campaign(ledger, name)
        content = candidate_pages.sample_list(ledger, name, reason or None, _number(round_), page_)
        tabs = campaign_tabs(name, "samples")
        return page(f"{name}, samples", [content], tabs=tabs, leave=_leave(request))

    @app.get("/campaigns/{name}/candidates/{key}")
    def candidate(request: Request, name: str, key: str) -> Response:
        ledger = store.reader()
        stem, _, ending = key.partition(".")
        story = _story(ledger, _campaign(ledger, name).id, stem)
        if ending:
            return _structure(ledger, name, story, ending)
        title, parts = candidate_pages.candidate_page(ledger, name, story)
        tabs = campaign_tabs(name, "candidates")
        return page(title, parts, scripts=_VIEWER_SCRIPTS, tabs=tabs, leave=_leave(request))


def _add_files(app: FastAPI, store: Store) -> None:
    @app.get("/static/{name}")
    def static(name: str) -> Response:
        try:
            content, kind = asset(name)
        except KeyError:
            raise HTTPException(404, "There is no such file.") from None
        return Response(content, media_type=kind, headers=_FOREVER)

    @app.get("/campaigns/{name}/figures/{figure}.svg")
    def figure(name: str, figure: str) -> Response:
        ledger = store.reader()
        found = campaign_pages.figure_named(ledger, _campaign(ledger, name).id, figure)
        if found is None:
            raise HTTPException(404, "This campaign has no such figure.")
        return _attachment(standalone(found), "image/svg+xml", f"{figure}.svg")

    @app.get("/campaigns/{name}/report.html")
    def report(name: str) -> Response:
        ledger = store.reader()
        text = build_page(ledger, _campaign(ledger, name).id)
        return _attachment(text, "text/html", f"{name}.html")


def _structure(
    ledger: LedgerReader, name: str, story: browsing.CandidateStory, ending: str
) -> Response:
    if ending not in _FILES:
        raise HTTPException(404, "Structures are given as .cif, .vasp and .extxyz.")
    fmt, kind = _FILES[ending]
    candidate = story.candidate
    summary = summarise_campaign(ledger, name)
    text = candidate_pages.structure_file(summary, candidate.configuration, fmt)
    return _attachment(text, kind, f"{candidate.key}.{ending}")


def _attachment(text: str, kind: str, name: str) -> Response:
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=kind, headers=headers)


def _campaign(ledger: LedgerReader, name: str) -> Campaign:
    for found in ledger.campaigns():
        if found.id == name:
            return found
    raise HTTPException(404, "There is no campaign of this id.")


def _story(ledger: LedgerReader, campaign: str, key: str) -> browsing.CandidateStory:
    with ledger.reading() as connection:
        story = browsing.candidate_story(connection, campaign, key)
    if story is None:
        raise HTTPException(404, "This campaign has no such candidate.")
    return story


def _stamp(ledger: LedgerReader, campaign: str) -> str:
    with ledger.reading() as connection:
        return overviews.stamp(connection, campaign)


def _json(live: Live) -> JSONResponse:
    content: dict[str, Any] = {"stamp": live.stamp, "html": live.html, "wait_s": live.wait_s}
    return JSONResponse(content, headers=HEADERS)


def _number(text: str) -> int | None:
    return int(text) if text else None


def _leave(request: Request) -> bool:
    """Whether the reader came in by the login page."""
    return bool(request.scope.get("session"))


def _connection() -> Markup:
    words = "The server does not answer; trying again. What is shown may be old."
    return tag("p", words, id="connection", class_="error", role="alert", hidden="hidden")


def to_dashboard() -> RedirectResponse:
    """Send a reader to the first page."""
    return RedirectResponse(f"{BASE}/", status_code=307)
