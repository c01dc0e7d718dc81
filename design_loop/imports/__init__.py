"""Labels from outside a campaign: read, matched to its candidates, checked, recorded."""

from design_loop.imports.importing import ImportReport, import_labels
from design_loop.imports.incoming import Incoming, References

__all__ = ["ImportReport", "Incoming", "References", "import_labels"]
