"""The small base model's tokenizer: element symbols whole, numbers as single digits.

A general-purpose tokenizer cuts "Mo" and "0.08" wherever its corpus taught it to, so that a small
model would first have to learn spelling. Here every element symbol, ``VAC``, every property name
and word of the instruction templates is one token, a number is one token per digit, and whatever
else occurs is spelled in bytes, so that any text survives a round trip.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from defects.descriptors import DESCRIPTORS
from defects.errors import ModelError
from defects.properties import PROPERTIES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
MAX_VOCABULARY = 1024
"""The embedding is a visible part of a model of a few million parameters."""

_PERIODIC_TABLE = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy "
    "Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf "
    "Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
ELEMENTS = tuple(_PERIODIC_TABLE.split())
SYMBOLS = (*ELEMENTS, "VAC")

# Words that the general pattern below would cut (capitals inside, underscores): matched first.
IRREGULAR = ("VAC", "eV", *PROPERTIES, *DESCRIPTORS)
PUNCTUATION = ("\n", " ", *".,:;-_=+<>()[]{}/*%#'\"?!", "°", "Å", *(" " + c for c in "-=<>(+"))


def _pattern(irregular: Iterable[str] = (), phrases: Iterable[str] = ()) -> str:
    """Regular expression of one piece of text; what it matches becomes a token if it is known."""
    # In this order: phrases; names with inner capitals or underscores; words, cut before each
    # capital so that "MoS" is "Mo", "S"; one digit; any other character. A single leading space
    # belongs to the piece, as in GPT-2: half as many tokens on lines of numbers.
    fixed = "|".join(map(re.escape, _longest_first(phrases)))
    names = "|".join(map(re.escape, _longest_first({*IRREGULAR, *irregular})))
    return (
        (f"(?:{fixed})|" if fixed else "")
        + rf" ?V_| ?(?:{names})(?![A-Za-z_])"
        + r"| ?[A-Z][a-z]*| ?[a-z]+| ?[0-9]| ?[^\sA-Za-z0-9]|[\s\S]"
    )


def _longest_first(words: Iterable[str]) -> list[str]:
    return sorted(set(words), key=lambda w: (-len(w), w))


def words_in(texts: Iterable[str], min_count: int = 1) -> list[str]:
    """Words and marks that occur in texts, as tokens, most frequent first.

    Parameters
    ----------
    texts : iterable of str
        Prompts and answers as the model will meet them.
    min_count : int
        Leave out what occurs less often.
    """
    pattern = re.compile(_pattern())
    counts = Counter(piece for text in texts for piece in pattern.findall(text))
    return [w for w, n in counts.most_common() if n >= min_count]


def build_tokenizer(
    words: Iterable[str] = (), phrases: Iterable[str] = (), *, max_length: int = 2048
) -> PreTrainedTokenizerFast:
    """Build the tokenizer.

    Parameters
    ----------
    words : iterable of str
        Words to keep whole, exactly as they occur: ``"Design"`` begins a line, ``" crystal"``
        follows a space. Symbols, digits, marks, property names and bytes are always there.
    phrases : iterable of str
        Whole lines of a template that are the same in every prompt. As one token each they cost
        next to nothing in training and sampling.
    max_length : int
        Context length of the model, in tokens.

    Returns
    -------
    PreTrainedTokenizerFast
        Encoding prepends ``<bos>``; text that looks like a special token is spelled out,
        never taken for one.

    Raises
    ------
    ModelError
        With more words than `MAX_VOCABULARY` leaves room for.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words, phrases = list(words), list(phrases)
    tokens = [
        *(PAD, BOS, EOS),
        *(f"<0x{b:02X}>" for b in range(256)),
        *(space + s for space in ("", " ") for s in (*"0123456789", *SYMBOLS)),
        *PUNCTUATION,
        *("V_", " V_"),
        *IRREGULAR,
        *words,
        *phrases,
    ]
    vocabulary = {t: i for i, t in enumerate(dict.fromkeys(tokens))}
    if len(vocabulary) > MAX_VOCABULARY:
        raise ModelError(
            f"the tokenizer would have {len(vocabulary)} tokens, more than {MAX_VOCABULARY}: "
            "pass fewer words (words_in has min_count)"
        )
    # Matrices of round sizes are faster. The fillers have no text that could be matched.
    while len(vocabulary) % 64:
        vocabulary[f"<unused{len(vocabulary)}>"] = len(vocabulary)

    core = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, ignore_merges=True))
    irregular = [w.strip() for w in words if _is_irregular(w)]
    core.pre_tokenizer = pre_tokenizers.Split(Regex(_pattern(irregular, phrases)), "isolated")
    core.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, vocabulary[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        model_max_length=max_length,
        padding_side="left",  # generation; training pads for itself
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,
    )


def _is_irregular(word: str) -> bool:
    """Whether the general pattern would cut a word."""
    return re.fullmatch(r" ?(?:V_|[A-Z][a-z]*|[a-z]+|\S)|\s", word) is None
