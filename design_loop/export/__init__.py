"""Candidates of a campaign as files that other programs read."""

from design_loop.export.files import ExportError, export_candidates
from design_loop.export.items import campaign_host, file_stem
from design_loop.export.tables import candidate_dict
from design_loop.export.waiting import waiting_candidates

__all__ = [
    "ExportError",
    "campaign_host",
    "candidate_dict",
    "export_candidates",
    "file_stem",
    "waiting_candidates",
]
