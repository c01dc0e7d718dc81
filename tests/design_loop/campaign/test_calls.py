"""Oracle calls that fail in every way: bounded tries, quarantine, and the campaign goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
from ledger_examples import FakeConfig, prepare, run_until_selected

from defects.configuration import Configuration
from defects.datasets import bundled_dataset, write_dataset
from defects.errors import OracleError
from defects.hosts import get_host
from defects.oracles import OracleSpec, make_oracle, oracle_key
from design_loop import oracle_pool
from design_loop.campaign import calls, driver
from design_loop.campaign.calls import settle_calls
from design_loop.config import load_campaign
from design_loop.config.oracle import OracleConfig
from design_loop.doctor import examine
from design_loop.ledger import Ledger, Suspended
from design_loop.oracle_calls import LabelResult
from design_loop.progress import SilentProgress

CALLS = {f"k{i}": f"call-{i}" for i in range(6)}
HOST = get_host("MoS2", "2x2")
#: Needs no pristine energy: it knows no chemical potentials.
PLAIN = OracleSpec("ase", {"calculator": "ase.calculators.lj:LennardJones"})


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


def make(ledger, script, calls=CALLS):
    campaign = ledger.create_campaign(FakeConfig(), "w")
    prepare(ledger, campaign)
    run_until_selected(ledger, campaign, calls)
    return SimpleNamespace(
        id=campaign,
        ledger=ledger,
        services=Oracle(script),
        progress=SilentProgress(),
        control=Control(),
        host=HOST,
        configuration=lambda data: data,
        config=SimpleNamespace(resources=SimpleNamespace(oracle_parallel=2)),
    )


def settle(context, retries=1, oracle=PLAIN):
    settings = OracleConfig(kind="xtb", retries=retries)
    with context.ledger.lease(context.id), context.ledger.step(context.id, 1, "verify"):
        book = Book(context.ledger, context.id)
        return settle_calls(context, book, oracle, settings)


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


# -- the pristine energy


class WorkerPool:
    """In place of the tasks on Ray: every call in a process that has computed nothing before."""

    def __init__(self, oracle, limits):
        self.oracle, self.limits = oracle, limits

    def run(self, tasks):
        for task in tasks:
            for _ in range(1 + self.limits.retries):
                fresh = make_oracle(self.oracle.kind, self.oracle.settings)
                try:
                    labels, error = fresh.compute(task.configuration).properties, ""
                except OracleError as failed:
                    labels, error = None, str(failed)
                if labels is not None:
                    break
            yield LabelResult(task.index, task.configuration, labels, error)


@pytest.fixture
def moody(tmp_path, monkeypatch):
    """An oracle that writes down what it computes and has no pristine energy to begin with."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    monkeypatch.setattr(oracle_pool, "OraclePool", WorkerPool)
    # Looked for among all installed packages: a second for every oracle that is built.
    monkeypatch.setattr("defects.oracles.ase_calculator.module_version", lambda module: "1")
    return OracleSpec(
        "ase",
        {
            "calculator": "pool_calculators:Moody",
            "arguments": {"log": str(tmp_path / "calls.log")},
            "chemical_potentials": {"S": -10.0, "Se": -30.0},
        },
    )


def computed(tmp_path):
    """Formula -> how often it was computed."""
    return Counter(line.split()[0] for line in (tmp_path / "calls.log").read_text().splitlines())


def substituted(ledger, label=oracle_pool.label_batch, calls=CALLS):
    """A campaign whose calls go to the pool: Se on a sulphur site."""
    context = make(ledger, {}, calls)
    context.configuration = lambda data: Configuration.from_changes(HOST, {4 + data["site"]: "Se"})
    context.services = SimpleNamespace(label=label)
    return context


def test_pristine_energy_is_a_call_of_the_ledger_and_made_once(ledger, tmp_path, moody):
    """Batches, tries and campaigns share it; nothing counts it."""
    failing = {"left": 1}

    def label(oracle, configurations, on_result, on_failure, limits):
        """One try of the first batch fails, so that there is a second batch."""

        def came(result):
            if failing["left"] and result.configuration.n_defects:
                failing["left"] -= 1
                on_failure(LabelResult(result.index, None, None, "it died", "Crash"))
            else:
                on_result(result)

        return oracle_pool.label_batch(oracle, configurations, came, on_failure, limits)

    first = substituted(ledger, label)
    funnel = ledger.funnel(first.id)
    assert settle(first, oracle=moody).labelled == 6
    second = substituted(ledger, calls={f"n{i}": f"new-{i}" for i in range(3)})
    assert settle(second, oracle=moody).labelled == 3
    assert computed(tmp_path) == {"Mo4S8": 1, "Mo4S7Se": 6 + 1 + 3}

    key = oracle_key(Configuration(HOST, ()), moody.build())
    assert ledger.get_oracle_result(key)["energy"] == -4 * 42 - 8 * 16
    for campaign in (first.id, second.id):
        values = {x.candidate: x.properties["formation_energy"] for x in ledger.labels(campaign)}
        assert set(values.values()) == {-34 + 16 - 10 + 30}
        assert key not in {x.oracle_key for x in ledger.labels(campaign)}
        assert ledger.quarantined(campaign) == []
    assert ledger.funnel(first.id).verified == funnel.selected == 6
    assert ledger.call_holders([key, *CALLS.values()]) == {}


CAMPAIGN = """\
name: pristine
seed: {seed}
host: {{name: MoS2, supercell: 4x4}}
rules: {{defects: [V_S, Se_S], max_defects: 4}}
targets:
  - {{property: formation_energy, max: 3}}
rounds: 2
dataset: {folder}/known
proposer: {{kind: random}}
generation: {{samples: 8}}
surrogate: {{kind: trees, iterations: 5, folds: 3}}
selection: {{budget: 2}}
oracle: {{kind: ase, settings: {settings}}}
"""


@pytest.mark.slow
def test_whole_campaigns_of_one_ledger_compute_the_pristine_energy_once(
    tmp_path, moody, monkeypatch
):
    """Four rounds of two campaigns: one pristine calculation, and only labels are counted."""
    monkeypatch.setattr("serve.cluster.ensure_ray", lambda *_: False)
    whole = bundled_dataset("xtb-mos2-4x4")
    write_dataset(replace(whole, records=whole.records[:60]), tmp_path / "known")
    store = tmp_path / "ledger.sqlite"
    ended = []
    for seed in (1, 2):
        text = CAMPAIGN.format(seed=seed, folder=tmp_path, settings=json.dumps(moody.settings))
        (tmp_path / "campaign.yaml").write_text(text)
        config = load_campaign(tmp_path / "campaign.yaml")
        ended.append(driver.start(config, tmp_path / "runs", str(store), SilentProgress()))
    with Ledger(store) as ledger:
        keys = {x.oracle_key for s in ended for x in ledger.labels(s.campaign.id)}
        assert computed(tmp_path)["Mo16S32"] == 1
        assert sum(computed(tmp_path).values()) == 1 + len(keys)
        for summary in ended:
            name = summary.campaign.id
            assert (summary.campaign.state, summary.funnel.verified) == ("done", 4)
            assert len(ledger.labels(name)) == 4
            assert "pristine" not in {x.description for x in ledger.candidates(name)}
            for label in ledger.labels(name):
                call = Configuration.from_dict(label.configuration, whole.host)
                assert label.oracle_key == oracle_key(call, moody.build())
            findings = [f for f in examine(ledger, name).findings if f.check != "disk"]
            assert findings == []


def test_a_driver_that_was_killed_after_the_pristine_energy_leaves_it(tmp_path, moody):
    def killed():
        def label(oracle, configurations, *rest):
            if configurations[0].n_defects:
                os.kill(os.getpid(), signal.SIGKILL)
            return oracle_pool.label_batch(oracle, configurations, *rest)

        with Ledger(tmp_path / "ledger.sqlite") as own:
            settle(substituted(own, label), oracle=moody)

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert computed(tmp_path) == {"Mo4S8": 1}
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        context = substituted(ledger)
        context.id = ledger.campaigns()[-1].id
        assert settle(context, oracle=moody).labelled == 6
    assert computed(tmp_path) == {"Mo4S8": 1, "Mo4S7Se": 6}


def test_a_campaign_waits_for_the_pristine_energy_that_another_computes(
    ledger, tmp_path, moody, monkeypatch
):
    first, second = substituted(ledger), substituted(ledger)
    key = oracle_key(Configuration(HOST, ()), moody.build())
    slept = []

    def while_waiting(seconds):
        slept.append(other.call_holders([key, *CALLS.values()]))
        assert len(slept) < 3
        if len(slept) == 2:
            other.record_result(first.id, key, {"energy": 0.0})

    monkeypatch.setattr(calls, "time", SimpleNamespace(sleep=while_waiting))
    with Ledger(tmp_path / "ledger.sqlite") as other, other.lease(first.id):
        other.ask_call(first.id, key, moody.to_dict(), Configuration(HOST, ()).to_dict())
        assert other.claim_calls(first.id, [key]) == {key}
        assert settle(second, oracle=moody).labelled == 6
    assert slept[0] == {key: first.id} | dict.fromkeys(CALLS.values(), second.id)
    assert computed(tmp_path) == {"Mo4S7Se": 6}
    [value] = {x.properties["formation_energy"] for x in ledger.labels(second.id)}
    assert value == (-4 * 42 - 7 * 16 - 34) - 10 + 30


def test_a_pristine_energy_that_cannot_be_had_ends_the_step(ledger, tmp_path, moody):
    """After tries of its own, whatever the settings say of other calls; the next resume tries."""
    broken = OracleSpec("ase", {**moody.settings, "functions": {"x": "pool_calculators:threads"}})
    context = substituted(ledger)
    for times in (4, 8):
        with pytest.raises(OracleError, match="the energy of pristine MoS2-2x2x1, which formation"):
            settle(context, retries=0, oracle=broken)
        assert computed(tmp_path) == {"Mo4S8": times}
    key = oracle_key(Configuration(HOST, ()), broken.build())
    assert ledger.call_holders([key, *CALLS.values()]) == {}
    assert ledger.labels(context.id) == [] and ledger.quarantined(context.id) == []


def test_known_pristine_energies_leave_the_keys_of_calls_alone(moody):
    known = moody.with_pristine(HOST.key, -296.0)
    for changes in ({}, {5: "Se"}):
        call = Configuration.from_changes(HOST, changes)
        assert oracle_key(call, known.build()) == oracle_key(call, moody.build())
