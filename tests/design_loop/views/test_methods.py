"""The methods section says what the campaign's settings were, not what they mostly are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_campaign import FakeCampaign

from defects.rules import Rules
from design_loop.ledger import Ledger, Surrogate
from design_loop.summary import summarise_campaign
from design_loop.views.methods import methods


def _words(summary, surrogates=(), **changed):
    config = {**summary.campaign.config, **changed}
    changed = replace(summary, campaign=replace(summary.campaign, config=config))
    return str(methods(changed, surrogates))


def test_methods_tell_the_order_the_stages_and_what_was_added(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        campaign = FakeCampaign(ledger, tmp_path)
        campaign.run(1)
        ledger.extend(campaign.id, rounds=2)
        summary = summarise_campaign(ledger, campaign.id)
    usual = _words(summary)
    assert "in each of 5 rounds" in usual
    assert "by surrogate error were kept" in usual
    assert "chosen, those first that it placed inside all targets and the likeliest" in usual
    assert "and anew the most promising of those that earlier rounds had not selected" in usual
    assert "verified by GFN1-xTB (tblite) on ideal structures" in usual
    assert "trained on from the one before" in usual
    staged = {
        "kind": "xtb",
        "settings": {"method": "GFN2-xTB", "relax": True},
        "then": [{"kind": "external", "budget": 4, "settings": {"method": "PBE"}}],
    }
    selection = {**summary.campaign.config["selection"], "strategy": "ehvi", "exploration": 0.2}
    selection["reconsider"] = False
    other = _words(summary, oracle=staged, selection=selection, learn={"start_from": "base"})
    assert "predicted every new candidate, with a calibrated spread" in other
    assert "labelled by GFN2-xTB (tblite) on relaxed structures; the best of them, up to 4" in other
    assert "verified by PBE, imported" in other
    assert "by expected (hypervolume) improvement" in other
    assert "20 % of them where its spread is largest" in other
    assert "by surrogate error" not in other and "inside all targets" not in other
    assert "trained anew from the base" in other
    frozen = _words(summary, proposer={"kind": "llm", "feedback": False})
    assert "was trained once, before the first round" in frozen


def test_methods_tell_adaptation_distillation_and_the_last_round_only_where_used(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        summary = summarise_campaign(ledger, FakeCampaign(ledger, tmp_path).id)
    config = summary.campaign.config
    plain = _words(summary, learn={**config["learn"], "distil": 0})
    assert "after every round, and" in plain
    assert "side by side" not in plain
    assert "distillation" not in plain
    adapt = {**config["generation"]["adapt"], "enabled": True, "arms": 5}
    learn = {**config["learn"], "distil": 300, "last_round": False}
    used = _words(summary, generation={**config["generation"], "adapt": adapt}, learn=learn)
    assert "in every round 5 of them (temperature in 0.7 to 1.6, top_p in 0.8 to 1, " in used
    assert "up to 300 unlabelled configurations" in used
    assert "with a weight of 0.5." in used
    assert "after every round but the last, and" in used
    hybrid = {"proposer": {"kind": "hybrid"}, "learn": learn}
    refined = _words(summary, generation={**config["generation"], "adapt": adapt}, **hybrid)
    assert "side by side" in refined
    # A search has no model whose settings could adapt or that could be taught.
    search = {"proposer": {"kind": "random"}, "learn": learn}
    random = _words(summary, generation={**config["generation"], "adapt": adapt}, **search)
    assert "side by side" not in random
    assert "distillation" not in random
    assert "after every round but the last." in random


@pytest.fixture
def summary(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield summarise_campaign(ledger, FakeCampaign(ledger, tmp_path).id)


def _under(summary, **rules):
    made = Rules.model_validate({"defects": ["V_S", "Se_S", "W_Mo"], **rules})
    return _words(summary, rules=made.model_dump(mode="json"))


def test_methods_tell_every_rule_that_there_is_and_no_other(summary):
    plain = _under(summary, max_defects=4)
    assert "with 1 to 4 point defects (V_S, Se_S, W_Mo) were searched for homo_lumo_gap" in plain
    told = {
        "Of the sites these were open: S on top, W_Mo on Mo0 or Mo1.": {
            "where": {"S": "top", "W_Mo": ["Mo0", "Mo1"]}
        },
        "Each configuration has 0 to 2 V_S, exactly 1 W_Mo.": {
            "counts": {"V_S": [0, 2], "W_Mo": 1}
        },
        "Changed were at most 6 % of the sites of S, 1 to 10 % of the sites of S1.": {
            "concentration": {"S": 0.06, "S1": [0.01, 0.1]}
        },
        "Any two defects are at least 3 Å apart (V_S-V_S 5 Å).": {
            "min_separation": {"any": 3.0, "V_S-V_S": 5.0}
        },
        "Defects are at least so far apart: V_S-Se_S 4.5 Å.": {"min_separation": {"V_S-Se_S": 4.5}},
        "Left as they are: site 17, S1 0 0, all within 4 Å of Mo0 2 2.": {
            "frozen": [17, "S1 0 0", {"around": "Mo0 2 2", "within": 4.0}]
        },
        "Each configuration contains one of 2 structures (S1 3 0 VAC | S1 0 0 Se) and adds": {
            "seeds": ["S1 3 0 VAC", "S1 0 0 Se"]
        },
    }
    for sentence, rules in told.items():
        words = _under(summary, max_defects=4, **rules)
        assert sentence in words
        sited = not {"counts", "min_separation"} & set(rules)
        assert ("kept by one of the equivalent placements" in words) == sited
        others = [other for other in told if other != sentence]
        assert not [other for other in others if other in words]
        assert sentence not in plain
    dilute = _under(summary, concentration={"all": [0.02, 0.1]})
    assert "with 1 or more point defects" in dilute
    assert "Changed were 2 to 10 % of all sites." in dilute
    many = _under(summary, frozen=list(range(20)))
    assert "site 7 and 12 more." in many
    long = _under(summary, seeds=[f"S1 {i} 0 VAC; S1 {i} 1 VAC; S1 {i} 2 VAC" for i in range(9)])
    assert "Each configuration contains one of 9 structures and adds to it." in long


def test_methods_tell_a_campaigns_own_properties(summary):
    assert "Properties defined" not in _words(summary)
    own = {
        "mid_gap": {
            "unit": "eV",
            "description": "middle <of> the gap",
            "function": "my_lab.defects:mid_gap",
            "from_labels": True,
        },
        "dos": {"column": "dos_fermi"},
    }
    assert (
        "Properties defined for this campaign: mid_gap (middle &lt;of&gt; the gap; eV; "
        "my_lab.defects:mid_gap of labels), dos (the dataset&#x27;s dos_fermi)."
    ).replace("&#x27;", "'") in _words(summary, properties=own).replace("&#x27;", "'")


def _surrogate(number, **kinds):
    entries = {name: {"model": kind} for name, kind in kinds.items()}
    return Surrogate(f"s{number}", f"s{number}", {"properties": entries})


def test_methods_name_what_was_fitted_property_by_property(summary):
    gap = {"homo_lumo_gap": "stack"}
    made = [
        _surrogate(0, **gap, formation_energy_per_site="trees"),
        _surrogate(1, **gap, formation_energy_per_site="pairs"),
    ]
    auto = _words(summary, made, surrogate={"kind": "auto"})
    assert (
        "A surrogate (gap by stack, E_form/site by trees, later pairs: the kind with the smallest "
        "cross-validated error, chosen with every fit) predicted"
    ) in auto
    assert "A surrogate (gap by trees) predicted" in _words(
        summary, [_surrogate(0, homo_lumo_gap="trees")], surrogate={"kind": "trees"}
    )
    # Nothing is fitted yet, or by a version that did not say.
    early = _words(summary, surrogate={"kind": "auto"})
    assert "A surrogate (the kind with the smallest cross-validated error) predicted" in early
    assert "(kind soap)" in _words(summary, [Surrogate("s", "s", {})], surrogate={"kind": "soap"})


def test_methods_tell_where_the_surrogate_was_not_trusted(summary):
    def selecting(**changed):
        return _words(summary, selection={**summary.campaign.config["selection"], **changed})

    usual = selecting()
    assert "outside of its labels" not in usual
    assert "spread above" not in usual
    assert "outside of its labels was taken last of all." in selecting(out_of_domain="avoid")
    assert "came first there." in selecting(out_of_domain="explore", exploration=0.2)
    limits = {"homo_lumo_gap": 0.2, "formation_energy_per_site": 0.05}
    limited = selecting(max_std=limits)
    assert "a spread above 0.2 eV of gap, 0.05 eV of E_form/site were not chosen." in limited
    explored = selecting(max_std=limits, exploration=0.2)
    assert "E_form/site were left to the share for its spread." in explored


def test_methods_tell_the_version_of_a_program_behind_ase(summary):
    settings = {"calculator": "ase.calculators.vasp:Vasp", "version": "VASP 6.4.2, potpaw.54"}
    words = _words(summary, oracle={"kind": "ase", "settings": settings})
    assert "ase.calculators.vasp:Vasp (ASE; VASP 6.4.2, potpaw.54) on ideal structures" in words


@pytest.mark.parametrize(
    ("oracle", "fmt", "of"),
    [
        ("xtb", "compact", "the rules at"),
        ("table", "compact", "the rules (where proposals were missing after that"),
        ("table", "full", "the rules at"),
    ],
)
def test_methods_tell_what_could_be_answered(tmp_path, oracle, fmt, of):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        summary = summarise_campaign(ledger, FakeCampaign(ledger, tmp_path).id)
    generation = {**summary.campaign.config["generation"], "constrained": True, "format": fmt}
    words = _words(summary, generation=generation, oracle={"kind": oracle})
    assert f"sampled under a grammar of {of}" in words
    assert "grammar" not in _words(summary, generation={**generation, "constrained": False})
