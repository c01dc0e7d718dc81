"""Ids that people read, type and sort."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from design_loop.ledger.names import campaign_id

DAY = datetime(2026, 11, 21, tzinfo=UTC)


def test_id_says_name_and_day():
    assert re.fullmatch(r"mos2-gap-20261121-[0-9a-z]{4}", campaign_id("MoS2 gap", DAY))


def test_name_without_a_letter_still_gives_an_id():
    assert campaign_id("¿?", DAY).startswith("campaign-20261121-")


@given(
    seconds=st.lists(st.floats(0, 86399), min_size=2, max_size=2).map(sorted),
)
def test_ids_of_one_name_sort_by_time(seconds):
    early, late = (campaign_id("x", DAY + timedelta(seconds=s)) for s in seconds)
    assert early <= late


@given(st.text(), st.integers(0, 999))
def test_id_is_a_plain_word_and_bumps_differ(name, bump):
    found = campaign_id(name, DAY, bump)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", found)
    assert found != campaign_id(name, DAY, bump + 1)
