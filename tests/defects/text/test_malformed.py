"""Ten thousand malformed answers: none crashes a parser, each is counted under its reason."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from defects.errors import ParseError
from defects.hosts import get_host
from defects.rules import Rules
from defects.sampling import random_configuration
from defects.text import DROP_REASONS, Request, build_answer, parse_answer, random_frame

HOST = get_host("MoS2", "4x4")
RULES = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), max_defects=4)
OTHER = get_host("BN", "3x3")
OTHER_RULES = Rules(defects=("V_B", "C_N"), max_defects=4)
BATCH, EXAMPLES = 40, 125
RNG = np.random.default_rng(0)
REQUESTS = {fmt: Request(HOST, RULES, {}, random_frame(HOST, RNG)) for fmt in ("compact", "full")}


def right(request, fmt, n=20):
    configurations = (random_configuration(request.host, request.rules, RNG) for _ in range(n))
    return [build_answer(c, request, fmt) for c in configurations]


#: What a model may write in a number's or a symbol's place.
WORDS = st.sampled_from(
    ["NaN", "nan", "inf", "-1", "1e309", "0x10", "٣", "１", "Ⅷ", "𝟘", "S1", "S9", "Mo0", "VAC", "U",
     "vac", "Zz", "", " ", "\t", "\n", "\r", "\x00", "\u2028", "\ufeff", "\u200b", "é", "💥",
     "<eos>", "0.08", "99999999999999999999", "[]", "{}", "'; DROP TABLE"]
)  # fmt: skip


def spoil(text, at, length, word):
    at = at % (len(text) + 1)
    return text[:at] + word + text[at + length :]


def answers(fmt):
    request = REQUESTS[fmt]
    known = st.sampled_from(right(request, fmt))
    foreign = st.sampled_from(right(Request(OTHER, OTHER_RULES), fmt))
    small = st.integers(0, 3000)
    line = st.lists(WORDS, max_size=6).map(" ".join)
    return st.one_of(
        st.text(max_size=200),
        st.builds(spoil, known, small, st.integers(0, 30), WORDS | st.text(max_size=3)),
        st.builds(lambda text, at: text[: at % len(text)], known, small),
        st.builds(lambda a, b: f"{a}\n{b}", known, known),
        st.builds(lambda text: "\n".join(reversed(text.splitlines())), known),
        st.builds(lambda text, n: f"{text}\n" * n, known, st.integers(2, 50)),
        st.lists(line, max_size=120).map("\n".join),
        foreign,
    )


def read(text, fmt):
    """Reason of the drop, or "ok" for a configuration of the rules."""
    request = REQUESTS[fmt]
    try:
        configuration = parse_answer(text, request, fmt)
    except ParseError as error:
        assert error.reason in DROP_REASONS
        assert len(str(error)) < 500  # the record stays small, whatever came
        return error.reason
    assert configuration.host == HOST
    assert RULES.violation(configuration) is None
    return "ok"


@pytest.mark.parametrize("fmt", ["compact", "full"])
def test_ten_thousand_malformed_answers(fmt):
    counted = Counter()

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.lists(answers(fmt), min_size=BATCH, max_size=BATCH))
    def look(texts):
        counted.update(read(text, fmt) for text in texts)

    look()
    assert sum(counted.values()) >= BATCH * EXAMPLES
    assert set(counted) <= {"ok", *DROP_REASONS}
    expected = {"malformed", "unknown_site"}
    expected |= {"duplicate_site", "empty"} if fmt == "compact" else {"truncated"}
    assert expected <= counted.keys()


@pytest.mark.parametrize("fmt", ["compact", "full"])
@pytest.mark.parametrize(
    "text",
    ["x" * 1_000_000, "\n" * 1_000_000, "S1 0 0 VAC\n" * 100_000, "Mo\n" * 400_000, "\x00" * 10**6],
    ids=["letters", "lines", "sites", "symbols", "nulls"],
)
def test_a_megabyte(fmt, text):
    assert read(text, fmt) == "malformed"
