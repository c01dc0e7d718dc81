"""The small model's tokenizer: round trips, whole symbols, single digits."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from defects.errors import ModelError
from training.tokenizer import ELEMENTS, MAX_VOCABULARY, build_tokenizer, words_in

TEXT = "Host: MoS2, supercell 4x4x1\nhomo_lumo_gap: 1.104 eV\nS1 3 0 VAC\n-0.08 0.17 0.25"
TOKENIZER = build_tokenizer(words_in([TEXT]), ["Requested properties:\n"])


def pieces(text: str) -> list[str]:
    return TOKENIZER.convert_ids_to_tokens(TOKENIZER(text, add_special_tokens=False)["input_ids"])


@settings(deadline=None, max_examples=300)
@given(st.text())
@example("<eos> <0x41> <bos><pad><unused700>")
@example("  two spaces, é, \U0001f600, \r\n\t\x00")
@example("Requested properties:\nRequested properties: ")
@example("V_MoS2VACV_")
def test_any_text_survives_a_round_trip(text: str) -> None:
    ids = TOKENIZER(text)["input_ids"]
    assert ids[0] == TOKENIZER.bos_token_id
    assert TOKENIZER.eos_token_id not in ids
    assert TOKENIZER.decode(ids[1:]) == text
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == text


@pytest.mark.parametrize("lead", ["", " "])
def test_every_element_symbol_is_one_token(lead: str) -> None:
    assert len(ELEMENTS) == 118
    assert [s for s in (*ELEMENTS, "VAC") if pieces(lead + s) != [lead + s]] == []


def test_numbers_are_split_into_digits_and_names_kept_whole() -> None:
    assert pieces("homo_lumo_gap: -12.05 eV") == (
        ["homo_lumo_gap", ":", " -", "1", "2", ".", "0", "5", " eV"]
    )
    assert pieces("MoS2") == ["Mo", "S", "2"]
    assert pieces("Mo0 2 10 W\n") == ["Mo", "0", " 2", " 1", "0", " W", "\n"]
    assert pieces(" V_Mo") == [" V_", "Mo"]
    assert pieces("Requested properties:\n") == ["Requested properties:\n"]


def test_saved_and_loaded_it_is_the_same(tmp_path) -> None:
    from transformers import AutoTokenizer

    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in (TEXT, "<eos> é", ""):
        assert loaded(text)["input_ids"] == TOKENIZER(text)["input_ids"]
        assert loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) == text
    assert (loaded.eos_token_id, loaded.pad_token_id) == (
        TOKENIZER.eos_token_id,
        TOKENIZER.pad_token_id,
    )


def test_too_many_words_are_refused() -> None:
    words = ("".join(w) for w in itertools.product("abcdefgh", repeat=4))
    with pytest.raises(ModelError, match=str(MAX_VOCABULARY)):
        build_tokenizer(words)


def test_templates_cost_one_token_per_fixed_line() -> None:
    from training.corpus import corpus
    from training.vocabulary import small_tokenizer, template_phrases

    pairs = list(itertools.islice(corpus(3), 300))
    tokenizer = small_tokenizer(pairs)
    assert len(template_phrases()) >= 5
    for phrase in template_phrases():
        assert len(tokenizer(phrase, add_special_tokens=False)["input_ids"]) == 1
    # No word of the templates or the corpus has to be spelled in bytes.
    for prompt, answer in pairs:
        tokens = tokenizer.convert_ids_to_tokens(tokenizer(prompt + answer)["input_ids"])
        assert not [t for t in tokens if t.startswith("<0x")], prompt
