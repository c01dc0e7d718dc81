"""The small model's vocabulary, read off the instruction templates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from defects.hosts import get_host
from defects.rules import Rules
from defects.text import FORMATS, Request, build_prompt
from training.tokenizer import build_tokenizer, words_in

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Two requests that share nothing but the template.
_UNLIKE = (
    ("MoS2", "4x4", Rules(defects=("V_Mo",), min_defects=1, max_defects=1), {"homo": -5.0}),
    ("hBN", "6x6", Rules(defects=("V_B", "V_N"), min_defects=2, max_defects=6), {}),
)


def template_phrases() -> list[str]:
    """Lines of the templates, newline included, that stand in every request of a format."""
    found: dict[str, None] = {}
    for fmt in FORMATS:
        first, second = (
            build_prompt(Request(get_host(host, cell), rules, properties), fmt).splitlines(True)
            for host, cell, rules, properties in _UNLIKE
        )
        found.update((line, None) for line in first if line in second and len(line) > 12)
    return list(found)


def small_tokenizer(
    examples: Iterable[tuple[str, str]], *, max_length: int = 2048
) -> PreTrainedTokenizerFast:
    """Tokenizer of the small model: the templates' lines, and the words of example texts.

    Parameters
    ----------
    examples : iterable of (prompt, answer)
        A finite sample of the texts to be learnt; some thousand are enough.
    max_length : int
        Context length of the model, in tokens.
    """
    phrases = template_phrases()
    texts = []
    for prompt, answer in examples:
        for phrase in phrases:
            prompt = prompt.replace(phrase, "")
        texts += [prompt, answer]
    # Sorted: the same vocabulary whatever order the words came in.
    return build_tokenizer(sorted(words_in(texts, min_count=2)), phrases, max_length=max_length)
