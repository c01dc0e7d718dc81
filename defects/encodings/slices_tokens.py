"""SLICES strings as rows of numbers, for models that want columns of a fixed meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from defects.configuration import Configuration
from defects.encodings.arrays import defect_arrays
from defects.encodings.slices import slices_encoder
from defects.errors import ModelError
from defects.hosts import Host
from defects.properties import VACANCY
from defects.rules import parse_defect

#: ``counts``: how often each token occurs. ``sequence``: the token at every position.
FORMS = ("counts", "sequence")
#: Stands behind the last token of a shorter string.
PADDING = -1


class SliceTokens:
    """Tokens of SLICES strings of one host, numbered.

    The vocabulary is that of the strings: the elements that may be there, the signs of the cells
    (``-``, ``o``, ``+``) and the numbers of the atoms. In the form ``counts`` there is a column for
    every token of the vocabulary; how often an atom's number occurs is its number of bonds. In the
    form ``sequence`` column k is the number of the k-th token; strings shorter than the longest are
    padded, and what is beyond `width` is cut.

    Parameters
    ----------
    host : Host
    defects : sequence of str
        Vocabulary of defect names; decides which elements there are.
    form : {"counts", "sequence"}
    width : int, optional
        Columns of a ``sequence``; the length of the pristine string and a tenth when not given,
        since vacancies may add bonds.

    Raises
    ------
    ModelError
        When there is no such form.
    """

    def __init__(
        self, host: Host, defects: Sequence[str], form: str = "counts", width: int | None = None
    ) -> None:
        if form not in FORMS:
            raise ModelError(f"SLICES tokens have no form {form!r}: give {' or '.join(FORMS)}")
        self.host, self.defects, self.form = host, tuple(defects), form
        self._encoder = slices_encoder(host)
        elements = {*host.species, *(parse_defect(name)[0] for name in defects)} - {VACANCY}
        words = [*sorted(elements), "-", "o", "+", *map(str, range(host.n_sites))]
        self.vocabulary = {word: number for number, word in enumerate(words)}
        pristine = len(self._encoder.encode_as_is({}).split(" "))
        self.width = width or pristine + pristine // 10

    def transform(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Numbered tokens of the canonical configurations' strings.

        Returns
        -------
        ndarray of float32, shape (n, width) or (n, len(vocabulary))

        Raises
        ------
        ModelError
            When a configuration is on another host or has a defect outside the vocabulary.
        """
        defect_arrays(configurations, self.host, self.defects)
        number = self.vocabulary.__getitem__
        rows = ([number(t) for t in self._encoder.tokens(c)] for c in configurations)
        if self.form == "counts":
            n = len(self.vocabulary)
            counts = [np.bincount(row, minlength=n) for row in rows]
            return np.array(counts, dtype=np.float32).reshape(-1, n)
        out = np.full((len(configurations), self.width), PADDING, dtype=np.float32)
        for place, row in zip(out, rows, strict=True):
            place[: len(row)] = row[: self.width]
        return out
