"""``design-loop keys``."""

from __future__ import annotations

import json

from serve.keys import KeyFile


def test_create_list_and_revoke(cli, tmp_path):
    file = tmp_path / "keys.json"
    made = cli("keys", "create", "anna", "--scope", "read", "--scope", "design", "--file", file)
    assert made.code == 0, made.err
    text = made.out.strip()
    assert "not shown again" in made.err
    key = KeyFile(file).find(text)
    assert (key.name, key.scopes) == ("anna", ("read", "design"))

    listed = cli("keys", "list", "--file", file, "--format", "json")
    [row] = json.loads(listed.out)
    assert (row["id"], row["name"]) == (key.id, "anna")
    assert text not in listed.out and "sha256" not in row
    assert key.id in cli("keys", "list", "--file", file).out

    assert cli("keys", "revoke", key.id, "--file", file).code == 0
    assert KeyFile(file).find(text) is None
    again = cli("keys", "revoke", key.id, "--file", file)
    assert again.code == 2
    assert "no key" in again.err


def test_an_unknown_scope_is_refused(cli, tmp_path):
    done = cli("keys", "create", "anna", "--scope", "root", "--file", tmp_path / "k")
    assert done.code == 2
    assert "the scopes are read, design, campaign, admin" in done.err
