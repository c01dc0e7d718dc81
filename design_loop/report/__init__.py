"""The report of a campaign: one HTML file with drawings and structures inside, nothing fetched."""

from design_loop.report.page import write_report

__all__ = ["write_report"]
