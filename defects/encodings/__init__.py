"""Encodings: configurations as arrays that a model can read."""

from __future__ import annotations

from defects.encodings.arrays import DefectArrays, defect_arrays
from defects.encodings.graph import SparseGraph, sparse_graph
from defects.encodings.pairs import PairTable, pair_table
from defects.encodings.slices import SlicesEncoder, slices_encoder
from defects.encodings.sparse import SparseEncoder

__all__ = [
    "DefectArrays",
    "PairTable",
    "SlicesEncoder",
    "SparseEncoder",
    "SparseGraph",
    "defect_arrays",
    "pair_table",
    "slices_encoder",
    "sparse_graph",
]
