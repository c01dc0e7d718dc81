"""Stages, resources and own properties in the campaign file, and what of it is code."""

from __future__ import annotations

import pytest
from campaign_files import changed

from design_loop.campaign.calls import pool_limits
from design_loop.config import CampaignFileError, parse_campaign
from design_loop.config.code_paths import code_paths
from design_loop.ledger import Source
from design_loop.oracle_calls import task_options, threads_per_call
from design_loop.oracle_plan import oracle_stages
from design_loop.stage_choice import offsets, rank
from design_loop.summary import oracle_budget

STAGED = {
    "kind": "xtb",
    "then": [
        {"kind": "xtb", "budget": 4, "settings": {"relax": {"fmax": 0.1}}},
        {"kind": "external", "budget": 2, "settings": {"method": "PBE"}},
    ],
}
OWN = {"dos": {"unit": "1/eV", "function": "my.code:dos"}, "mid": {"column": "centre"}}


def _config(**changes):
    return parse_campaign(changed(**changes))


def test_stages_know_their_budget_and_what_their_labels_are():
    stages = oracle_stages(_config(oracle=STAGED, properties=OWN))
    assert [s.source for s in stages] == [Source.STAGE_1, Source.STAGE_2, Source.ORACLE]
    assert [s.budget for s in stages[1:]] == [4, 2]
    assert [s.external for s in stages] == [False, False, True]
    # Functions travel to the workers, columns to the tables.
    assert stages[0].spec.settings == {"functions": {"dos": "my.code:dos"}}
    table = {"kind": "table", "settings": {"dataset": "x"}}
    [only] = oracle_stages(_config(oracle=table, properties=OWN))
    assert (only.source, only.spec.settings["columns"]) == (Source.ORACLE, {"mid": "centre"})
    without = _config(oracle={"kind": "none"}, learn={"use_unverified": True})
    assert oracle_stages(without) == ()


def test_only_the_last_stage_counts_as_verifying():
    config = _config(oracle=STAGED)
    assert oracle_budget(config) == 2 * config.rounds
    assert oracle_budget(_config()) == _config().selection.budget * config.rounds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"oracle__kind": "external", "oracle__then": STAGED["then"][:1]}, "only be the last"),
        ({"oracle": {"kind": "xtb", "then": STAGED["then"][::-1]}}, "external can only be the"),
        (
            {"oracle": {"kind": "xtb", "then": [{"kind": "ase", "budget": 999}]}},
            "oracle.then[0].budget: 999 is more than the",
        ),
        ({"oracle": {"kind": "xtb", "then": [{"kind": "none", "budget": 1}]}}, "'none' is not"),
        ({"oracle": {"kind": "xtb", "then": [{"kind": "ase"}]}}, "then[0].budget: is missing"),
        ({"learn": {"stage": "first"}}, "learn.stage: there is one stage only"),
        (
            {"oracle__environment": {"A B": "1"}},
            "oracle.environment.A B: 'A B' cannot be a name here; use letters, digits and under",
        ),
        (
            {"oracle__custom_resources": {"a b": 1}},
            "oracle.custom_resources.a b: 'a b' cannot be a name here; use letters, digits and _",
        ),
        (
            {"oracle": {"kind": "xtb", "then": [{"kind": "table", "budget": 1}] * 3}},
            "oracle.then: at most 2 can be given, not 3 (dearer stages, with the first at most "
            "three in all",
        ),
        ({"oracle__custom_resources": {"vasp": 0}}, "must be at least 0.0001"),
        ({"properties": {"gap_2": {"decimals": 12}}}, "properties.gap_2.decimals: must be at most"),
        ({"properties": {"gap_2": {"units": "eV"}}}, "unknown key; did you mean 'unit'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, message):
    with pytest.raises(CampaignFileError) as caught:
        _config(**changes)
    assert message in str(caught.value)


def test_a_call_takes_what_the_file_says():
    config = _config(
        oracle={
            "kind": "xtb",
            "cpus_per_call": 4,
            "gpus_per_call": 0.5,
            "memory_per_call": 2.5,
            "custom_resources": {"vasp": 1},
            "environment": {"VASP_COMMAND": "srun vasp_std"},
        }
    )
    context = type("Context", (), {"config": config, "control": None})()
    context.control = type("Control", (), {"asked": staticmethod(lambda: False)})()
    limits = pool_limits(context, config.oracle)
    assert task_options(limits) == {
        "num_cpus": 4,
        "num_gpus": 0.5,
        "memory": int(2.5 * 2**30),
        "resources": {"vasp": 1},
        "runtime_env": {"env_vars": {"VASP_COMMAND": "srun vasp_std"}},
    }
    assert threads_per_call(limits) == 4
    plain = pool_limits(context, _config().oracle)
    assert set(task_options(plain)) == {"num_cpus", "num_gpus"}  # no processes of its own


RESOURCES = [
    ("custom_resources", {"CPU": 1}, "custom_resources.CPU: write it as cpus_per_call"),
    ("custom_resources", {"GPU": 1}, "custom_resources.GPU: write it as gpus_per_call"),
    ("custom_resources", {"TPU": 3}, "custom_resources.TPU: a call can have 1, 2, 4, 8 TPUs"),
    ("custom_resources", {"HPU": 0.5}, "custom_resources.HPU: Ray hands out whole HPUs, not 0.5"),
    ("custom_resources", {"vasp": 5e-5}, "custom_resources.vasp: must be at least 0.0001"),
    ("cpus_per_call", 5e-5, "cpus_per_call: must be at least 0.0001"),
    ("gpus_per_call", 5e-5, "gpus_per_call: Ray hands out whole GPUs, not 5e-05"),
]
#: Ray refuses these only when the first call is made.
LATE = [
    ("custom_resources", {"memory": 1}, "custom_resources.memory: write it as memory_per_call"),
    ("custom_resources", {"object_store_memory": 1}, "a call can have none of it set aside"),
    ("custom_resources", {"bundle": 1}, "custom_resources.bundle: Ray keeps this name for itself"),
    ("custom_resources", {"NPU": 1.5}, "custom_resources.NPU: Ray hands out whole NPUs, not 1.5"),
    ("gpus_per_call", 1.5, "oracle.gpus_per_call: Ray hands out whole GPUs, not 1.5; a share must"),
]


@pytest.mark.parametrize(("key", "value", "message"), [*RESOURCES, *LATE])
def test_what_ray_would_refuse_hours_later_is_refused(key, value, message):
    with pytest.raises(CampaignFileError) as caught:
        _config(oracle={"kind": "xtb", key: value})
    assert message in str(caught.value)
    stage = {"kind": "table", "budget": 1, key: value}
    with pytest.raises(CampaignFileError, match=r"oracle\.then\[0\]\."):
        _config(oracle={"kind": "xtb", "then": [stage]})


def test_ray_takes_what_the_file_may_say_and_no_more():
    """Held against the installed Ray, whose rules may change."""
    import ray

    def label():
        """Stands for an oracle call."""

    names = {"cpus_per_call": "num_cpus", "gpus_per_call": "num_gpus"}
    for key, value, _ in RESOURCES:
        with pytest.raises(ValueError):
            ray.remote(label).options(**{names.get(key, "resources"): value})
    settings = {
        "cpus_per_call": 0.0001,
        "gpus_per_call": 2.0,
        "custom_resources": {"vasp": 0.0001, "lab": 1.5, "TPU": 8, "NPU": 0.5, "HPU": 3, "cpu": 1},
    }
    config = _config(oracle={"kind": "xtb", **settings})
    context = type("Context", (), {"config": config})()
    context.control = type("Control", (), {"asked": staticmethod(lambda: False)})()
    ray.remote(label).options(**task_options(pool_limits(context, config.oracle)))


def test_threads_that_the_environment_names_are_left_alone():
    config = _config(oracle={"kind": "xtb", "environment": {"OMP_NUM_THREADS": "2"}})
    context = type("Context", (), {"config": config})()
    context.control = type("Control", (), {"asked": staticmethod(lambda: False)})()
    assert threads_per_call(pool_limits(context, config.oracle)) is None


def test_everything_that_is_code_is_found():
    oracle = {
        "kind": "xtb",
        "environment": {"LD_PRELOAD": "x.so"},
        "settings": {"functions": {"a": "os:getcwd"}},
        "then": [{"kind": "ase", "budget": 1, "settings": {"calculator": "os:system"}}],
    }
    found = dict(code_paths({"oracle": oracle, "properties": OWN}))
    assert set(found) == {
        "oracle.environment",
        "oracle.settings.functions",
        "oracle.then[0].kind",
        "oracle.then[0].settings.calculator",
        "properties.dos.function",
    }
    assert code_paths(_config().model_dump(mode="json")) == []
    assert code_paths({"oracle": "xtb", "properties": []}) == []


def test_the_offset_between_two_methods_is_a_median_of_enough_pairs():
    pairs = [({"gap": x}, {"gap": x + 0.5}) for x in (1.0, 1.2, 1.4)]
    assert offsets(pairs, ["gap", "homo"]) == {"gap": pytest.approx(0.5), "homo": 0.0}
    assert offsets(pairs[:2], ["gap"]) == {"gap": 0.0}
    wild = [*pairs, ({"gap": 1.0}, {"gap": 9.0})]
    assert offsets(wild, ["gap"])["gap"] == pytest.approx(0.5)


def test_the_next_stage_sees_what_is_expected_to_fit_best():
    targets = _config(targets=["homo_lumo_gap=1.0..1.2", "homo<=-5"]).targets
    cheap = {k: {"homo_lumo_gap": gap} for k, gap in (("a", 0.6), ("b", 1.1), ("c", 0.9))}
    predicted = {k: ({"homo": -5.5}, {"homo": 0.1}) for k in cheap}
    order = [e.key for e in rank(cheap, predicted, targets, {})]
    assert order == ["b", "c", "a"]
    shifted = rank(cheap, predicted, targets, {"homo_lumo_gap": 0.5})
    assert [e.key for e in shifted] == ["a", "c", "b"]
    assert shifted[0].values == {"homo_lumo_gap": pytest.approx(1.1), "homo": -5.5}
    # Of what nobody knows a target's property nothing can be expected.
    assert [e.key for e in rank(cheap, {"a": predicted["a"]}, targets, {})] == ["a"]
