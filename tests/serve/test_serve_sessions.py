"""Cookies of browsers: whose they are, how long they last, that none can be made up."""

from __future__ import annotations

import pytest

from serve.keys import KeyFile
from serve.sessions import LIFETIME_S, LOGINS_PER_MINUTE, Sessions


@pytest.fixture
def keys(tmp_path):
    return KeyFile(tmp_path / "keys.json")


def test_a_cookie_is_its_keys_and_not_the_key(keys):
    text, key = keys.create("anna", ["read"])
    cookie = Sessions(keys).open(text)
    assert cookie is not None
    assert text not in cookie
    assert key.sha256 not in cookie


def test_a_session_ends_with_time_revocation_and_the_process(keys):
    now = [1000.0]
    text, key = keys.create("anna", ["read"])
    sessions = Sessions(keys, clock=lambda: now[0])
    cookie = sessions.open(text)
    assert sessions.find(cookie) == key
    assert Sessions(keys, clock=lambda: now[0]).find(cookie) is None
    now[0] += LIFETIME_S - 1
    assert sessions.find(cookie) == key
    now[0] += 1
    assert sessions.find(cookie) is None
    now[0] = 1000.0
    keys.revoke(key.id)
    assert sessions.find(cookie) is None


def test_only_keys_that_may_read_open_one(keys):
    text, _ = keys.create("robot", ["design"])
    sessions = Sessions(keys)
    assert sessions.open(text) is None
    assert sessions.open("dl_00000000_" + "A" * 43) is None
    assert sessions.open("") is None


def test_changed_cookies_are_nobodys(keys):
    text, key = keys.create("anna", ["read"])
    other, _ = keys.create("bert", ["read"])
    sessions = Sessions(keys)
    number, until, code = sessions.open(text).split(".")
    theirs = sessions.open(other).split(".")
    assert sessions.find(f"{number}.{until}.{code}") == key
    for cookie in (
        f"{number}.{int(until) + 1}.{code}",
        f"{theirs[0]}.{until}.{code}",
        f"{number}.{until}.{theirs[2]}",
        f"{number}.{until}.",
        f"{number}.{until}.{code}.",
        f"{number}.²³.{code}",
        f"{number}.{'9' * 5000}.{code}",
        "..",
        "",
        "ü.1.ü",
    ):
        assert sessions.find(cookie) is None


def test_tries_are_limited(keys):
    sessions = Sessions(keys)
    waits = [sessions.wait() for _ in range(LOGINS_PER_MINUTE + 1)]
    assert waits[:-1] == [0.0] * LOGINS_PER_MINUTE
    assert waits[-1] > 0
