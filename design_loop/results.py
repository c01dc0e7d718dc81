"""What a campaign leaves for people: candidates as structure files, and a report."""

from __future__ import annotations

from pathlib import Path

from design_loop.export import export_candidates
from design_loop.export.items import relaxed_structures
from design_loop.ledger import Ledger
from design_loop.report import write_report
from design_loop.summary import CampaignSummary


def leave_results(ledger: Ledger, summary: CampaignSummary) -> Path:
    """Write ``candidates/`` (CIF files and a table) and ``report.html`` into a campaign's folder.

    May be repeated; files of the same names are replaced.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DesignLoopError
        When the disk is full or the folder not writable; the ledger has everything anyway.
    """
    folder = Path(summary.campaign.workdir) / summary.campaign.id
    if summary.candidates:
        moved = relaxed_structures(ledger, summary.candidates)
        export_candidates(summary, "cif", folder / "candidates", relaxed=moved)
    write_report(ledger, summary.campaign.id, folder / "report.html")
    return folder
