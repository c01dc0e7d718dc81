"""Puts the report together from the ledger."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from defects.errors import DesignLoopError
from design_loop.ledger import Ledger
from design_loop.report import sections
from design_loop.summary import summarise_campaign
from design_loop.views.html import Markup, esc, join, tag

# Nothing may be fetched or run: what the page needs is in it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class ReportError(DesignLoopError):
    """A report cannot be written."""


def write_report(ledger: Ledger, campaign: str, path: str | Path) -> Path:
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


def build_page(ledger: Ledger, campaign: str) -> str:
    """The report as text."""
    summary = summarise_campaign(ledger, campaign)
    parts = [
        sections.headline(summary),
        sections.candidates(summary),
        sections.agreement(summary),
        sections.progress(summary),
        sections.funnel(summary),
        sections.failures(ledger, summary),
        sections.models(ledger, summary),
        sections.settings(summary),
    ]
    return _document(f"{summary.campaign.id} – design-loop", parts)


def _document(title: str, parts: Sequence[Markup]) -> str:
    style = resources.files("design_loop.views").joinpath("style.css").read_text(encoding="utf-8")
    head = join(
        [
            Markup('<meta charset="utf-8">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{esc(_POLICY)}">'),
            tag("title", title),
            tag("style", Markup(style)),
        ]
    )
    body = tag("main", join(parts))
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'
