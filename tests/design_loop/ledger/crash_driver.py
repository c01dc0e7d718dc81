"""A campaign in small that dies at every one of its commits; run by test_ledger_crash.py.

Usage: crash_driver.py FOLDER {before|after} [SCHEMAS]

Ledgers are files of the folder, or schemas whose names begin with SCHEMAS in the PostgreSQL that
DESIGN_LOOP_TEST_POSTGRES names.

A process of its own, so that it can fork: no thread of another test lives in it.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import traceback
from pathlib import Path
from typing import Any

from ledger_examples import FakeConfig
from postgres_schemas import make_schema
from sqlalchemy import Connection, Engine, event

from design_loop.ledger import (
    Adapter,
    Candidate,
    Check,
    Ledger,
    Prediction,
    Sample,
    Selection,
    Surrogate,
)

ROUNDS = 2
CANDIDATES = 2


def oracle(key: str, log: str) -> dict[str, float]:
    """A deterministic label; every call leaves a line, so that double work is seen."""
    with Path(log).open("a") as file:
        file.write(f"{key}\n")
    return {"gap": len(key) + sum(map(ord, key)) / 1000}


def drive(ledger: Ledger, log: str) -> None:
    known = ledger.campaigns()
    campaign = known[0].id if known else ledger.create_campaign(FakeConfig(), "w")
    with ledger.lease(campaign, ttl_s=600):
        if ledger.campaign(campaign).state == "done":
            return
        ledger.set_campaign_state(campaign, "running")
        ledger.start_round(campaign, 0)
        with ledger.step(campaign, 0, "prepare") as step:
            if step.todo:
                step.add_surrogate(Surrogate("s0", "s0", {}))
                step.add_adapter(Adapter("a0", "a0", {}))
        ledger.finish_round(campaign, 0)
        for number in range(1, ROUNDS + 1):
            _round(ledger, campaign, number, log)
        ledger.set_campaign_state(campaign, "done")


def _round(ledger: Ledger, campaign: str, number: int, log: str) -> None:
    surrogate = ledger.surrogates(campaign)[number - 1].version
    adapter = ledger.adapters(campaign)[number - 1].name
    ledger.start_round(campaign, number, adapter=adapter, surrogate=surrogate)
    keys = [f"k{number}{i}" for i in range(CANDIDATES)]
    with ledger.step(campaign, number, "generate") as step:
        if step.todo:
            step.record_samples([Sample(i, {}, k, "stop", adapter) for i, k in enumerate(keys)])
    with ledger.step(campaign, number, "check") as step:
        if step.todo:
            texts = [s.sample.text for s in ledger.samples(campaign, number)]
            step.record_checks(
                [Check(i, text) for i, text in enumerate(texts)],
                [Candidate(text, {"n": text}, "V_S") for text in texts],
            )
    with ledger.step(campaign, number, "predict") as step:
        if step.todo:
            found = ledger.candidates(campaign, number)
            step.record_predictions(
                surrogate, [Prediction(c.key, {"gap": 1}, {"gap": 0}, 0.1) for c in found]
            )
    with ledger.step(campaign, number, "select") as step:
        if step.todo:
            predicted = [p for _, p in ledger.predictions(campaign, number)]
            step.record_selection(
                [Selection(p.candidate, i, "r", f"call-{p.candidate}")
                 for i, p in enumerate(predicted)]
            )  # fmt: skip
    with ledger.step(campaign, number, "verify") as step:
        if step.todo:
            for call in ledger.pending_oracle(campaign, number):
                result = oracle(call.oracle_key, log)
                ledger.record_label(campaign, number, call.candidate, call.oracle_key, result)
    with ledger.step(campaign, number, "learn") as step:
        if step.todo:
            labels = len(ledger.labels(campaign))
            step.add_surrogate(Surrogate(f"s{number}-{labels}", "s", {"labels": labels}))
            step.add_adapter(Adapter(f"a{number}-{labels}", "a", {"labels": labels}))
    ledger.finish_round(campaign, number)


def live(target: str, log: Path, when: str, death: int) -> int:
    """Drive in a child that dies at its `death`-th commit (never: 0); its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            ledger = Ledger(target)
            _die_at(ledger._database._engine, when, death)
            drive(ledger, str(log))
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_at(engine: Engine, when: str, death: int) -> None:
    """Exit without a word before or after a commit; one that changes nothing does not count."""
    seen = {"changes": 0, "commits": 0, "rows": 0}

    def executed(conn: Any, cursor: Any, statement: str, *_: object) -> None:
        if statement.split(None, 1)[0] in ("INSERT", "UPDATE", "DELETE"):
            seen["rows"] += max(0, cursor.rowcount)

    def committing(connection: Connection) -> None:
        # SQLite tells the rows of an insert only once its answer was read, and keeps a sum instead.
        here = connection.connection.dbapi_connection
        changes = here.total_changes if sqlite else seen["rows"]
        if changes > seen["changes"]:
            seen["changes"] = changes
            seen["commits"] += 1
            if when == "before" and seen["commits"] == death:
                os._exit(9)

    def committed(*_: object) -> None:
        if when == "after" and 0 < death == seen["commits"]:
            os._exit(9)

    def hurry(connection: sqlite3.Connection, *_: object) -> None:
        # A process dies here, not the power: waiting for the disk would only take time.
        connection.execute("PRAGMA synchronous = OFF")

    sqlite = engine.dialect.name == "sqlite"
    if sqlite:
        event.listen(engine, "checkout", hurry)
    event.listen(engine, "after_cursor_execute", executed)
    # SQLAlchemy tells of a commit before it is done; after it the connection goes back.
    event.listen(engine, "commit", committing)
    event.listen(engine, "checkin", committed)


def main() -> None:
    """For every commit: a campaign that dies there, and its resume."""
    folder, when, *schemas = Path(sys.argv[1]), *sys.argv[2:]
    for death in range(1, 1000):
        target = make_schema(f"{schemas[0]}_{death}") if schemas else f"{folder}/{death}.sqlite"
        log = folder / f"{death}.log"
        code = live(target, log, when, death)
        if code == 0:
            break
        assert code == 9, f"death {death}: exit code {code}"
        assert live(target, log, when, 0) == 0, f"resume after death {death} failed"


if __name__ == "__main__":
    main()
