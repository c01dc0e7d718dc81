"""``campaign pause``, ``stop``, ``extend``, ``fork``, ``submit`` and ``--detach`` on a ledger."""

from __future__ import annotations

import pytest
from fake_campaign import PROPERTIES, FakeCampaign

from design_loop.config import load_preset
from design_loop.config.oracle import OracleConfig
from design_loop.ledger import Action, Adapter, CampaignState, Ledger, Surrogate


@pytest.fixture
def begun(tmp_path):
    """A work folder with a campaign that somebody drives, its id and its ledger."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        name = FakeCampaign(ledger, tmp_path).run(rounds=1)
        with ledger.lease(name):
            yield tmp_path, name, ledger


def test_pause_of_a_running_campaign_is_asked_for_and_taken_back(cli, begun):
    workdir, name, ledger = begun
    done = cli("campaign", "pause", name[:-1], "--workdir", workdir)
    assert done.code == 0, done.err
    assert "pause asked for" in done.out
    assert ledger.pending_request(name).action is Action.PAUSE
    shown = cli("campaign", "show", name, "--workdir", workdir, "--format", "json").json
    assert (shown["state"], shown["asked"]) == ("running", "pause")
    done = cli("campaign", "resume", name, "--workdir", workdir)
    assert (done.code, ledger.pending_request(name)) == (0, None)
    assert "the pause is withdrawn" in done.out


def test_without_a_driver_it_happens_at_once(cli, tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        name = FakeCampaign(ledger, tmp_path).run(rounds=1)
    done = cli("campaign", "stop", name, "--workdir", tmp_path)
    assert (done.code, f"{name} is stopped" in done.out) == (0, True)
    assert f"campaign resume {name} --workdir {tmp_path}" in done.out
    again = cli("campaign", "stop", name, "--workdir", tmp_path)
    assert again.code == 1
    assert again.err.strip() == f"design-loop: {name}: cannot stop: it is stopped already"


def test_extend_makes_a_finished_campaign_runnable_and_is_shown(cli, played):
    workdir, name = played
    place = ("--workdir", workdir)
    assert cli("campaign", "extend", name, *place).code == 2
    done = cli("campaign", "extend", name, "--rounds", 2, "--budget", 20, *place)
    assert done.code == 0, done.err
    assert "5 rounds in all, 20 oracle calls" in done.out
    assert "campaign resume" in done.out
    shown = cli("campaign", "show", name, *place, "--format", "json").json
    assert (shown["state"], shown["rounds_in_all"]) == ("paused", 5)
    assert [(a["rounds"], a["budget"]) for a in shown["amendments"]] == [(2, 20)]
    assert "added" in cli("campaign", "show", name, *place).out
    # What no campaign file could ask for is refused, in words of what can be asked for here.
    wrong = cli("campaign", "extend", name, "--budget", 100, *place)
    assert (wrong.code, "ask for " in wrong.err) == (2, True)
    assert "selection.budget" not in wrong.err


def test_a_failed_campaign_is_resumed_before_it_is_extended(cli, begun):
    workdir, name, ledger = begun
    ledger.set_campaign_state(name, CampaignState.FAILED, "no disk")
    done = cli("campaign", "extend", name, "--rounds", 1, "--workdir", workdir)
    assert done.code == 1
    assert "`campaign resume` goes on, after which it can be extended" in done.err


def test_fork_by_targets_takes_the_labels_over(cli, played):
    workdir, name = played
    done = cli("campaign", "fork", name, "--target", "homo_lumo_gap=0.3..0.6", "--name", "deeper",
               "--workdir", workdir)  # fmt: skip
    assert done.code == 0, done.err
    assert f"forked from {name}, 15 labels taken over" in done.out
    with Ledger(workdir / "ledger.sqlite") as ledger:
        made = ledger.campaigns()[0]
        assert made.name == "deeper"
        assert [t["max"] for t in made.config["targets"]] == [0.6]
        assert ledger.lineage(made.id).parent == name
    shown = cli("campaign", "show", made.id, "--workdir", workdir).out
    assert f"forked from {name}" in shown
    parent = cli("campaign", "show", name, "--workdir", workdir, "--format", "json").json
    assert parent["forks"] == [made.id]


@pytest.mark.parametrize(
    "words, part",
    [
        ((), "either FILE.yaml, or --target"),
        (("x.yaml", "--target", "homo_lumo_gap=1"), "either FILE.yaml, or --target"),
        (("--target", "gapp=1"), "no labels of gapp"),
    ],
)
def test_forks_that_say_nothing_or_nonsense(cli, played, words, part):
    workdir, name = played
    done = cli("campaign", "fork", name, *words, "--workdir", workdir)
    assert (done.code, part in done.err) == (2, True), done.err


def test_each_stage_has_a_budget_that_can_be_changed(cli, tmp_path):
    config = load_preset("quickstart", check=False)
    dear = {"kind": "external", "budget": 4, "settings": {"method": "PBE", "properties": ["homo"]}}
    oracle = OracleConfig.model_validate({"kind": "xtb", "then": [dear]})
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        staged = config.model_copy(update={"oracle": oracle})
        name = FakeCampaign(ledger, tmp_path, config=staged).run(rounds=1)
    place = ("--workdir", tmp_path)
    done = cli("campaign", "extend", name, "--budget", 20, *place)
    assert done.code == 0, done.err
    assert "20 calls of stage 1, 4 of stage 2 in each that comes" in done.out
    done = cli("campaign", "extend", name, "--budget", 6, "--stage", 2, *place)
    assert "20 calls of stage 1, 6 of stage 2 in each that comes" in done.out, done.err
    for words, part in (
        (("--budget", 5), "5 calls of stage 1 are fewer than the 6 of stage 2; ask for 6 or more"),
        (("--budget", 21, "--stage", 2), "stage 2 cannot compute 21 of the 20 that stage 1 labels"),
        (("--budget", 4, "--stage", 3), "there is no stage 3; this campaign's oracle has stages 1"),
        (("--rounds", 1, "--stage", 2), "stage: 2 says whose calls a budget is of"),
    ):
        wrong = cli("campaign", "extend", name, *words, *place)
        assert (wrong.code, part in wrong.err) == (2, True), wrong.err
        assert "oracle.then" not in wrong.err
    shown = cli("campaign", "show", name, *place).out
    assert "from round 2 on 6 calls of stage 2 per round" in shown


class WithModels(FakeCampaign):
    """Its surrogates say what they can predict."""

    def _models(self, step, number):
        fitted = {
            "properties": dict.fromkeys(PROPERTIES),
            "encoder": {"defects": list(self.config.rules.defects)},
        }
        step.add_surrogate(Surrogate(f"s{number}", f"surrogates/s{number}", fitted))
        trained = {"properties": list(PROPERTIES)}
        step.add_adapter(Adapter(f"r{number:03d}", f"adapters/r{number:03d}", trained))


def test_models_are_kept_only_where_they_know_the_new_defects(cli, tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        played = WithModels(ledger, tmp_path)
        name, config = played.run(rounds=1), played.config

    def fork(defects, *options):
        rules = config.rules.model_copy(update={"defects": defects})
        file = tmp_path / "fork.yaml"
        file.write_text(config.model_copy(update={"rules": rules}).to_yaml())
        return cli("campaign", "fork", name, file, *options, "--workdir", tmp_path)

    more = (*config.rules.defects, "Mo_S")
    done = fork(more, "--keep-models")
    assert done.code == 2
    assert "knows nothing of Mo_S" in done.err and "fork without --keep-models" in done.err
    assert fork(more).code == 0
    assert fork(config.rules.defects[:2], "--keep-models").code == 0


def test_submit_checks_before_it_asks_the_cluster(cli, tmp_path):
    done = cli("campaign", "submit", "quickstart", "--workdir", "runs")
    assert (done.code, "whole path on the head node" in done.err) == (2, True)
    done = cli("campaign", "submit")
    assert (done.code, "FILE.yaml, or --resume" in done.err) == (2, True)
    done = cli("campaign", "submit", "quickstart", "--workdir", tmp_path,
               "--address", "http://127.0.0.1:9")  # fmt: skip
    assert (done.code, "no job server of Ray answers" in done.err) == (1, True), done.err
