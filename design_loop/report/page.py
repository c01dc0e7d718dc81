"""Puts the report together from the ledger."""

from __future__ import annotations

import os
from pathlib import Path

from defects.errors import DesignLoopError
from design_loop.ledger.reader import LedgerReader
from design_loop.report import sections
from design_loop.summary import summarise_campaign
from design_loop.views.document import VIEWER_SCRIPTS, document


class ReportError(DesignLoopError):
    """A report cannot be written."""


def write_report(ledger: LedgerReader, campaign: str, path: str | Path) -> Path:
    """Write the report of a campaign, finished or not.

    Parameters
    ----------
    ledger
    campaign
        Its id, or the beginning of it.
    path
        HTML file; replaced whole or not at all.

    Raises
    ------
    LedgerError
        When there is no such campaign.
    ReportError
        When the file cannot be written.
    """
    path = Path(path)
    text = build_page(ledger, campaign)
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return path


def build_page(ledger: LedgerReader, campaign: str) -> str:
    """The report as text."""
    summary = summarise_campaign(ledger, campaign)
    parts = [
        sections.headline(summary),
        sections.candidates(summary),
        sections.methods(ledger, summary),
        sections.changes(ledger, summary),
        sections.discovery(ledger, summary),
        sections.agreement(ledger, summary),
        sections.quality(summary),
        sections.funnel(summary),
        sections.rounds(summary),
        sections.failures(ledger, summary),
        sections.models(ledger, summary),
        sections.settings(summary),
    ]
    scripts = VIEWER_SCRIPTS if summary.candidates else ()
    return document(f"{summary.campaign.id} – design-loop", parts, scripts)
