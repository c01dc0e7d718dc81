"""Reading campaigns over HTTP: what there is, where it stands, what it found."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Response
from fastapi.responses import StreamingResponse

from defects.configuration import Configuration
from design_loop.export import campaign_host, candidate_dict
from design_loop.export.items import Item
from design_loop.export.tables import as_csv
from design_loop.overview import overview
from design_loop.server.access import LedgerAccess, find_campaign
from design_loop.server.download import Packer
from design_loop.server.ranking import Rankings
from design_loop.server.schemas import (
    CampaignCard,
    CampaignDetail,
    CampaignFormat,
    CampaignList,
    CandidatePage,
)
from design_loop.server.settings import CampaignsSettings
from serve.openapi import errors

Name = Annotated[str, Path(description="id of the campaign", max_length=80)]
Hits = Annotated[bool, Query(description="only those that meet all targets")]


def add_listing(app: FastAPI, settings: CampaignsSettings, access: LedgerAccess) -> None:
    """Add the routes that change nothing. They run in threads, since databases wait."""
    packer = Packer(settings.max_download_bytes)
    rankings = Rankings()

    @app.get("/v1/campaigns", response_model=CampaignList)
    def campaigns() -> Any:
        """All campaigns of the ledger, the newest first."""
        with access() as ledger:
            return CampaignList(data=[CampaignCard.of(ledger, c) for c in ledger.campaigns()])

    @app.get("/v1/campaigns/{campaign}", response_model=CampaignDetail, responses=errors(404))
    def campaign(campaign: Name) -> Any:
        """One campaign: where it stands, round by round, what was added to it, its lineage."""
        with access() as ledger:
            found = find_campaign(ledger, campaign)
            return CampaignDetail.of_overview(ledger, overview(ledger, found.id))

    @app.get(
        "/v1/campaigns/{campaign}/candidates",
        response_model=CandidatePage,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, **errors(404)},
    )
    def candidates(
        campaign: Name,
        hits: Hits = False,
        after: Annotated[
            str | None, Query(max_length=128, description="`next` of the page before")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        format: Annotated[str, Query(pattern="^(json|csv)$", description="json or csv")] = "json",
    ) -> Any:
        """Labelled candidates, the best first, a page at a time.

        Pages fit together while the campaign runs: none repeats or leaves out what was there.
        """
        with access() as ledger:
            ranking = rankings(ledger, find_campaign(ledger, campaign).id)
        page, following = ranking.page(after, limit, hits=hits)
        if format == "csv":
            host = campaign_host(ranking.summary)
            items = [Item(c, Configuration.from_dict(c.configuration, host)) for c in page]
            return Response(as_csv(items, None), media_type="text/csv")
        return CandidatePage(
            total=ranking.total(hits=hits), next=following, data=[candidate_dict(c) for c in page]
        )

    @app.get(
        "/v1/campaigns/{campaign}/download",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/zip": {}}}, **errors(404, 409, 413)},
    )
    def download(
        campaign: Name,
        format: Annotated[CampaignFormat, Query(description="of the structures")] = "cif",
        hits: Hits = False,
        top: Annotated[int, Query(ge=1, le=100_000, description="only so many")] = 1000,
    ) -> Any:
        """Candidates as structure files with a table, the same as JSON, and the report: a zip."""
        with access() as ledger:
            found = find_campaign(ledger, campaign)
            stream = packer.pack(ledger, found.id, format, hits=hits, top=top)
        name = f'attachment; filename="{found.id}.zip"'
        return StreamingResponse(
            stream, media_type="application/zip", headers={"Content-Disposition": name}
        )
