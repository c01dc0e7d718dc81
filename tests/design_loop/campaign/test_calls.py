"""Oracle calls that fail in every way: bounded tries, quarantine, and the campaign goes on."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
from ledger_examples import FakeConfig, prepare, run_until_selected

from defects.oracles import OracleSpec
from design_loop.campaign import calls
from design_loop.campaign.calls import settle_calls
from design_loop.config.oracle import OracleConfig
from design_loop.ledger import Ledger, Suspended
from design_loop.oracle_calls import LabelResult
from design_loop.progress import SilentProgress

CALLS = {f"k{i}": f"call-{i}" for i in range(6)}


class Book:
    """Calls of round 1."""

    def __init__(self, ledger, campaign):
        self.ledger, self.campaign = ledger, campaign

    def pending(self):
        return self.ledger.pending_oracle(self.campaign, 1)

    def reuse(self):
        return self.ledger.reuse_labels(self.campaign, 1)

    def keep(self, call, result):
        self.ledger.record_label(
            self.campaign, 1, call.candidate, call.oracle_key, result.labels, result.seconds
        )

    def fail(self, call, result, final):
        self.ledger.record_failure(
            self.campaign, 1, call.candidate, call.oracle_key, result.error, final=final,
            kind=result.error_type, traceback=result.traceback,
        )  # fmt: skip


class Oracle:
    """Services whose answers are scripted: site -> what comes out at each try."""

    def __init__(self, script):
        self.script = {site: list(answers) for site, answers in script.items()}
        self.tries = Counter()
        self.most = 100
        self.afterwards = lambda: None

    def label(self, oracle, configurations, on_result, on_failure, limits):
        assert limits.retries == 0, "the ledger counts the tries"
        for index, configuration in enumerate(configurations[: self.most]):
            site = configuration["site"]
            self.tries[site] += 1
            answers = self.script.get(site, [])
            answer = answers.pop(0) if answers else {"gap": float(site)}
            if isinstance(answer, dict):
                on_result(LabelResult(index, None, answer, seconds=0.1))
            else:
                kind, permanent = answer
                failure = LabelResult(
                    index, None, None, "it failed", kind, "File x", permanent=permanent
                )
                on_failure(failure)
        self.afterwards()
        return 0, 0


class Control:
    """Asks for a halt once it is told to."""

    halt = False

    def asked(self):
        return self.halt

    def check(self):
        if self.halt:
            raise Suspended("stop")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def make(ledger, script):
    campaign = ledger.create_campaign(FakeConfig(), "w")
    prepare(ledger, campaign)
    run_until_selected(ledger, campaign, CALLS)
    return SimpleNamespace(
        id=campaign,
        ledger=ledger,
        services=Oracle(script),
        progress=SilentProgress(),
        control=Control(),
        configuration=lambda data: data,
        config=SimpleNamespace(resources=SimpleNamespace(oracle_parallel=2)),
    )


def settle(context, retries=1):
    settings = OracleConfig(kind="xtb", retries=retries)
    with context.ledger.lease(context.id), context.ledger.step(context.id, 1, "verify"):
        book = Book(context.ledger, context.id)
        return settle_calls(context, book, OracleSpec("xtb", {}), settings)


def test_every_failure_is_recorded_bounded_and_survived(ledger):
    context = make(
        ledger,
        {
            0: [("Timeout", False)] * 9,
            1: [("Crash", False), {"gap": 1.0}],
            2: [("NotConvergedError", True)] * 9,
            3: [{"gap": float("nan")}] * 9,
            4: [{}],
        },
    )
    settled = settle(context)
    assert (settled.labelled, settled.failed, settled.reused) == (2, 4, 0)
    assert context.services.tries == {0: 2, 1: 2, 2: 1, 3: 1, 4: 1, 5: 1}
    labels = {x.candidate: x.properties["gap"] for x in ledger.labels(context.id)}
    assert labels == {"k1": 1.0, "k5": 5.0}
    given_up = {q.candidate: q for q in ledger.quarantined(context.id)}
    kinds = {name: (q.failure.kind, q.tries) for name, q in given_up.items()}
    assert kinds == {
        "k0": ("Timeout", 2),
        "k2": ("NotConvergedError", 1),
        "k3": ("NotFinite", 1),
        "k4": ("NotFinite", 1),
    }
    assert given_up["k0"].failure.traceback == "File x"
    assert "gap is no finite number" in given_up["k3"].failure.error
    assert ledger.funnel(context.id).failed == 4
    assert ledger.steps(context.id, 1)[4].state == "done"


def test_a_resumed_driver_goes_on_counting(ledger):
    context = make(ledger, {0: [("Crash", False)] * 9})
    ledger.record_failure(context.id, 1, "k0", "call-0", "died before", final=False)
    settle(context, retries=2)
    assert context.services.tries[0] == 2
    assert ledger.quarantined(context.id)[0].tries == 3


def test_what_one_campaign_gave_up_another_does_not_try(ledger):
    first = make(ledger, {0: [("Crash", False)] * 9})
    settle(first)
    second = make(ledger, {})
    settled = settle(second)
    assert second.services.tries == {}
    assert (settled.reused, settled.failed) == (5, 1)
    (known,) = ledger.quarantined(second.id)
    assert known.failure.kind == "Quarantined"
    assert "failed 2 times before (it failed)" in known.failure.error


def test_a_campaign_waits_for_what_another_computes(ledger, tmp_path, monkeypatch):
    first, second = make(ledger, {}), make(ledger, {})
    keys = list(CALLS.values())
    slept = []

    def while_waiting(seconds):
        """The other campaign goes on: one label, then it gives the rest back."""
        slept.append(seconds)
        if len(slept) == 1:
            other.record_label(first.id, 1, "k0", "call-0", {"gap": 7.0})
        elif len(slept) == 2:
            other.release_calls(first.id)
        assert len(slept) < 5

    monkeypatch.setattr(calls.time, "sleep", while_waiting)
    with Ledger(tmp_path / "ledger.sqlite") as other, other.lease(first.id):
        assert other.claim_calls(first.id, keys) == set(keys)
        settled = settle(second)
    assert (settled.reused, settled.labelled) == (1, 5)
    assert second.services.tries[0] == 0
    labels = {x.candidate: x.properties["gap"] for x in ledger.labels(second.id)}
    assert labels["k0"] == 7.0


def test_a_halt_leaves_the_rest_pending_and_unclaimed(ledger):
    context = make(ledger, {})
    context.services.most = 2
    context.services.afterwards = lambda: setattr(context.control, "halt", True)
    with pytest.raises(Suspended):
        settle(context)
    assert len(ledger.labels(context.id)) == 2
    assert ledger.call_holders(CALLS.values()) == {}
    assert ledger.steps(context.id, 1)[4].state == "pending"
    context.control.halt, context.services.most = False, 100
    context.services.afterwards = lambda: None
    assert settle(context).labelled == 4
    assert set(context.services.tries.values()) == {1}
