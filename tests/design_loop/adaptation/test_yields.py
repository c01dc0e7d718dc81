"""What a round was worth, per setting and per part of a target."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fake_campaign import FakeCampaign

from defects.targets import Target
from design_loop.adaptation.told import gain
from design_loop.adaptation.yields import (
    ArmYield,
    RoundYields,
    closed_by,
    part_of,
    part_shares,
)
from design_loop.ledger import Check, Ledger, Sample, Source

GAP = Target(property="homo_lumo_gap", min=0.6, max=0.9)


def _asked(value, credit):
    return SimpleNamespace(sample=SimpleNamespace(asked={"homo_lumo_gap": value})), credit


def test_parts_reach_over_the_ends():
    values = (0.4, 0.6, 0.65, 0.75, 0.89, 0.9, 1.4)
    assert [part_of(GAP, v, 3) for v in values] == [0, 0, 0, 1, 2, 2, 2]


def test_a_part_that_yields_more_is_asked_for_more_often_but_none_is_forgotten():
    credits = [_asked(0.65, 0.0)] * 100 + [_asked(0.75, 0.1)] * 100 + [_asked(0.85, 0.5)] * 100
    [row] = part_shares(credits, [GAP], 3, explore=0.3).values()
    assert sum(row) == pytest.approx(1)
    assert row[0] < row[1] < row[2]
    assert min(row) >= 0.1
    # Few samples say little: nearly even.
    [few] = part_shares(credits[99:102], [GAP], 3, explore=0.3).values()
    assert max(few) < 0.4


def test_samples_that_asked_for_something_else_belong_to_no_part():
    near = [_asked(0.65, 0.1), _asked(0.85, 0.1)] * 50
    led_there = [_asked(1.6, 0.9)] * 100
    assert part_shares(near + led_there, [GAP], 2, 0.3) == part_shares(near, [GAP], 2, 0.3)
    assert part_shares(near + led_there, [GAP], 2, 0.3, reach=9) != part_shares(near, [GAP], 2, 0.3)


def test_without_a_yield_or_a_closed_range_values_are_drawn_evenly():
    assert part_shares([_asked(0.65, 0.0)], [GAP], 3, 0.3) == {}
    bound = Target(property="homo_lumo_gap", max=0.9)
    assert part_shares([_asked(0.65, 1.0)], [bound], 3, 0.3) == {}
    assert part_shares([_asked(0.65, 1.0)], [GAP], 1, 0.3) == {}


def test_an_extreme_counts_as_met_by_the_best_twentieth_of_the_dataset():
    rows = [{"homo_lumo_gap": g / 100} for g in range(101)]
    goal = Target(property="homo_lumo_gap", goal="minimize")
    assert closed_by(goal, rows).max == pytest.approx(0.05)
    assert closed_by(goal.model_copy(update={"goal": "maximize"}), rows).min == pytest.approx(0.95)
    assert closed_by(GAP, rows) is GAP


def test_worth_is_the_label_where_there_is_one_and_a_crystal_found_twice_is_shared(tmp_path):
    """In a recorded round: broken and known answers are worth nothing."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        campaign = FakeCampaign(ledger, tmp_path)
        campaign.run(2)
        labels = {c.candidate: c.properties for c in ledger.labels(campaign.id, Source.ORACLE)}
        targets = campaign.config.targets
        late = RoundYields(ledger, campaign.id, targets, [], before=3)
        worth = late.worths(2)
        assert set(worth) == {c.key for c in ledger.candidates(campaign.id, 2)}
        for key in set(worth) & set(labels):
            met = all(t.satisfied(labels[key][t.property]) for t in targets)
            assert worth[key] == float(met)
        assert any(0 < value < 1 for key, value in worth.items() if key not in labels)
        # Before its own verification a round's labels are not known: chances stand in.
        early = RoundYields(ledger, campaign.id, targets, [], before=2).worths(2)
        assert any(early[key] != worth[key] for key in set(worth) & set(labels))
        credits = late.credits(2)
        assert sum(credit for _, credit in credits) == pytest.approx(sum(worth.values()))
        assert all(credit == 0 for found, credit in credits if found.candidate not in worth)


def test_two_samples_of_one_crystal_share_it_whoever_came_first(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        campaign = FakeCampaign(ledger, tmp_path)
        campaign._prepare()
        number, kept = 1, {}
        original = campaign.ledger.step

        def samples_and_checks(step_run):
            record, check = step_run.record_samples, step_run.record_checks

            def record_samples(samples):
                record([Sample(**{**vars(s), "arm": s.index % 2}) for s in samples])

            def record_checks(checks, candidates):
                first = next(c for c in checks if c.drop_reason is None)
                twin = next(
                    c for c in checks
                    if c.drop_reason is not None and c.index % 2 != first.index % 2
                )  # fmt: skip
                kept.update(first=first.index, twin=twin.index)
                repeat = Check(twin.index, first.candidate, "duplicate_in_campaign")
                check([repeat if c is twin else c for c in checks], candidates)

            step_run.record_samples, step_run.record_checks = record_samples, record_checks
            if step_run.name == "generate":
                arms = [{"index": i, "temperature": 1.0 + i} for i in (0, 1)]
                step_run.info["arms"] = arms
            return step_run

        class Steps:
            def __init__(self, *place):
                self.inner = original(*place)

            def __enter__(self):
                return samples_and_checks(self.inner.__enter__())

            def __exit__(self, *error):
                return self.inner.__exit__(*error)

        ledger.step = Steps
        campaign._round(number)
        yields = RoundYields(ledger, campaign.id, campaign.config.targets, [], before=2)
        credits = yields.credits(number)
        by_index = {found.sample.index: credit for found, credit in credits}
        assert by_index[kept["first"]] == by_index[kept["twin"]]
        arms = yields.arms(number, credits)
        assert [a.samples for a in arms] == [20, 20]
        assert sum(a.worth for a in arms) == pytest.approx(sum(by_index.values()))


def test_the_gain_compares_settings_within_their_rounds():
    def arm(number, index, samples, worth):
        return ArmYield(number, {"index": index}, samples, worth)

    arms = [arm(1, 0, 10, 1.0), arm(1, 1, 10, 2.0), arm(2, 0, 10, 2.0), arm(2, 1, 10, 4.0)]
    assert gain(arms) == pytest.approx(2.0)
    # A round without others says nothing of them.
    assert gain([*arms, arm(3, 0, 10, 9.0)]) == pytest.approx(2.0)
    assert gain([arm(1, 0, 10, 1.0)]) is None
