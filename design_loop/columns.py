"""Columns of the tables that are exported and read back, other than the properties themselves."""

from __future__ import annotations

#: Columns that name the candidate, and those that name its structure file.
KEY_COLUMNS = ("_id", "key", "candidate")
FILE_COLUMNS = ("file", "structure")
#: What is told of a candidate, in the order of the table.
FACT_COLUMNS = ("rank", "defects", "meets_targets", "error", "round", "labelled_in", "adapter",
                "source", "relaxed")  # fmt: skip
#: Behind a property's name: what the surrogate said of it.
PREDICTED, SPREAD = "_predicted", "_std"
