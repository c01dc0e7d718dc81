"""Pairwise decompositions as surrogates: a table per shell, and closed formulas."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from defects.encodings.pairs import pair_table
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.surrogates.expressions import Expression
from defects.surrogates.pair_kernel import pair_columns
from defects.surrogates.pairwise import PairwiseTerms

_TERMS = "terms.json"
_FORMULAS = "formulas.json"
#: The formulas for people; not read.
TEXT = "formulas.txt"
VARIABLES = ("r", "h")


@dataclass
class ShellsModel:
    """One number per defect and per pair of defects in each shell.

    Attributes
    ----------
    encoder : SparseEncoder
    terms : PairwiseTerms
    """

    space: ClassVar[Literal["z", "total"]] = "total"
    ensemble: ClassVar[bool] = False

    encoder: SparseEncoder
    terms: PairwiseTerms

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """The property times its divisor, shape (n,)."""
        return self.terms.predict(batch.occupancy)

    def save(self, folder: Path) -> None:
        """Write the terms as JSON."""
        (folder / _TERMS).write_text(json.dumps(self.terms.to_dict()))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> ShellsModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When the file is missing, damaged, or of another host or vocabulary.
        """
        return cls(encoder, _read_terms(folder, encoder))


@dataclass
class Formula:
    """The term of one pair of kinds as a function of the distance.

    Attributes
    ----------
    kinds : tuple of two str
        Names of the two defects, in the order of the vocabulary.
    expression : Expression
        Of ``r``, the distance in Å, and ``h``, the absolute difference in height in Å; in eV.
    points : ndarray, shape (p, 4)
        What it was fitted to: distance, height difference, term, and how many labels bear on it.
    """

    kinds: tuple[str, str]
    expression: Expression
    points: np.ndarray


@dataclass
class FormulaModel:
    """Closed formulas per pair of kinds.

    Attributes
    ----------
    encoder : SparseEncoder
    terms : PairwiseTerms
        With the values of the formulas at the distances of the host's shells.
    formulas : list of Formula
        Pairs of kinds that no label has together have none; their pairs add nothing.
    """

    space: ClassVar[Literal["z", "total"]] = "total"
    ensemble: ClassVar[bool] = False

    encoder: SparseEncoder
    terms: PairwiseTerms
    formulas: list[Formula]

    @classmethod
    def of(
        cls, encoder: SparseEncoder, terms: PairwiseTerms, formulas: list[Formula]
    ) -> FormulaModel:
        """A model whose pair terms are the values of the formulas where there is one."""
        columns = pair_columns(encoder.host, encoder.defects)
        table, n = pair_table(encoder.host), len(encoder.defects)
        pairs = terms.pairs.copy()
        for formula in formulas:
            a, b = (encoder.defects.index(kind) for kind in formula.kinds)
            at = columns[:, 0] == a * n + b
            orbits = columns[at, 1]
            values = formula.expression({"r": table.distance[orbits], "h": table.height[orbits]})
            if not np.isfinite(values).all():
                raise ModelError(
                    f"the formula of {formula.kinds[0]} and {formula.kinds[1]} has no value at "
                    f"some distance of {encoder.host.key}: {formula.expression.text[:80]}"
                )
            pairs[at] = values
        terms = PairwiseTerms(terms.rule, terms.constant, terms.singles, pairs)
        return cls(encoder, terms, formulas)

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """The property times its divisor, shape (n,)."""
        return self.terms.predict(batch.occupancy)

    def text(self) -> str:
        """The decomposition for people: its rule, the terms of single defects, the formulas."""
        rule = {
            "sum": "P = constant + sum over defects E_i + sum over pairs V_ij(r, h)",
            "min": "P = min over pairs g_ij(r, h)   (a defect alone: E_i)",
            "max": "P = max over pairs g_ij(r, h)   (a defect alone: E_i)",
        }[self.terms.rule]
        lines = [
            rule,
            "r: distance, Å; h: absolute difference in height, Å; all terms in eV",
            "",
            f"constant = {self.terms.constant:.6g}",
        ]
        lines += [
            f"E[{name}] = {value:.6g}"
            for name, value in zip(self.encoder.defects, self.terms.singles, strict=True)
        ]
        letter = "V" if self.terms.rule == "sum" else "g"
        lines += [
            f"{letter}[{f.kinds[0]}, {f.kinds[1]}] = {f.expression.text}" for f in self.formulas
        ]
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> None:
        """Write terms and formulas as JSON, and the formulas as text for people."""
        (folder / _TERMS).write_text(json.dumps(self.terms.to_dict()))
        data = [
            {
                "kinds": list(f.kinds),
                "expression": f.expression.text,
                "points": f.points.tolist(),
            }
            for f in self.formulas
        ]
        (folder / _FORMULAS).write_text(json.dumps(data))
        (folder / TEXT).write_text(self.text())

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> FormulaModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When a file is missing, damaged, or of another host or vocabulary, or a formula is
            more than arithmetic.
        """
        terms = _read_terms(folder, encoder)
        try:
            data = json.loads((folder / _FORMULAS).read_text())
            formulas = [_read_formula(entry, encoder) for entry in data]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} holds no readable formulas: {error!r}") from error
        return cls.of(encoder, terms, formulas)


def _read_terms(folder: Path, encoder: SparseEncoder) -> PairwiseTerms:
    columns = len(pair_columns(encoder.host, encoder.defects))
    try:
        data = json.loads((folder / _TERMS).read_text())
        return PairwiseTerms.from_dict(data, len(encoder.defects), columns)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} holds no readable pair terms: {error!r}") from error


def _read_formula(entry: dict[str, Any], encoder: SparseEncoder) -> Formula:
    first, second = (str(k) for k in entry["kinds"])
    for kind in (first, second):
        if kind not in encoder.defects:
            raise ValueError(f"a formula of {kind}, which the surrogate does not know")
    return Formula(
        (first, second),
        Expression.parse(str(entry["expression"]), VARIABLES),
        np.array(entry["points"], dtype=float).reshape(-1, 4),
    )
