from __future__ import annotations

import numpy as np
import pytest

from defects.configuration import Configuration
from defects.encodings.slices import slices_encoder
from defects.encodings.slices_tokens import PADDING, SliceTokens
from defects.errors import ModelError
from defects.hosts import get_host

HOST = get_host("MoS2", (3, 3, 1))
MOS2 = ("V_Mo", "V_S", "W_Mo", "Se_S")
SOME = [
    Configuration.from_changes(HOST, changes)
    for changes in ({}, {4: "VAC"}, {0: "W", 12: "Se"}, {10: "VAC", 20: "VAC"})
]


def test_sequence_reads_back_as_the_string() -> None:
    tokens = SliceTokens(HOST, MOS2, form="sequence")
    words = {number: word for word, number in tokens.vocabulary.items()}
    for row, configuration in zip(tokens.transform(SOME), SOME, strict=True):
        text = " ".join(words[int(n)] for n in row if n != PADDING)
        assert text == slices_encoder(HOST).encode(configuration)


def test_counts_are_those_of_the_string() -> None:
    tokens = SliceTokens(HOST, MOS2)
    features = tokens.transform(SOME)
    assert features.shape == (len(SOME), len(tokens.vocabulary))
    for row, configuration in zip(features, SOME, strict=True):
        words = slices_encoder(HOST).tokens(configuration)
        assert row.sum() == len(words)
        for word in ("Mo", "S", "W", "Se", "o", "+", "0", "26"):
            assert row[tokens.vocabulary[word]] == words.count(word)
    assert tokens.transform([]).shape == (0, len(tokens.vocabulary))


def test_longer_strings_are_cut() -> None:
    whole = SliceTokens(HOST, MOS2, "sequence").transform(SOME)
    cut = SliceTokens(HOST, MOS2, "sequence", width=100).transform(SOME)
    np.testing.assert_array_equal(cut, whole[:, :100])
    assert (whole[:, -1] == PADDING).all()


def test_unknown_forms_and_defects_are_refused() -> None:
    with pytest.raises(ModelError, match="counts or sequence"):
        SliceTokens(HOST, MOS2, form="bigrams")
    with pytest.raises(ModelError, match="W_Mo"):
        SliceTokens(HOST, ("V_S",)).transform([SOME[2]])
