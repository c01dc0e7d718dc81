"""Grouped questions give what the plain ones give, on every kind of database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fake_campaign import DROPS, FakeCampaign

from design_loop.ledger import Source, browsing, overviews

ROUNDS = 2


@pytest.fixture
def played(ledger, tmp_path):
    """A campaign of two rounds, beside another in the same ledger."""
    other = FakeCampaign(ledger, tmp_path, samples=7, budget=2)
    other.run(rounds=1)
    campaign = FakeCampaign(ledger, tmp_path)
    campaign.run(rounds=ROUNDS)
    return campaign.id


def test_funnels_of_all_rounds_are_those_of_each(ledger, played):
    with ledger.reading() as connection:
        found = overviews.funnels(connection, played)
    assert sorted(found) == [1, 2]
    for number, funnel in found.items():
        assert funnel == ledger.funnel(played, number)
        assert list(funnel.drops) == list(ledger.funnel(played, number).drops)
    assert overviews.all_funnels(found) == ledger.funnel(played)


def test_labelled_candidates_come_with_the_prediction_they_were_chosen_by(ledger, played):
    with ledger.reading() as connection:
        found = overviews.labelled(connection, played, Source.ORACLE)
    assert [each.label for each in found] == ledger.labels(played, Source.ORACLE)
    known = {c.key: c for c in ledger.candidates(played)}
    predicted = {(p.candidate, name): p for name, p in ledger.predictions(played)}
    for each in found:
        assert each.candidate == known[each.label.candidate]
        assert each.prediction == predicted[each.candidate.key, each.surrogate]


def test_predictions_are_drawn_evenly_and_the_same_again(ledger, played):
    with ledger.reading() as connection:
        everything = overviews.drawn_predictions(connection, played, 10_000)
        some = overviews.drawn_predictions(connection, played, 10)
    assert len(everything) == ledger.funnel(played).predicted
    assert some == everything[:10]
    assert {d.round for d in everything} == {1, 2}
    asked = {c.key: c.asked for c in ledger.candidates(played)}
    assert all(d.asked == asked[d.key] for d in some)


def test_counts_and_progress(ledger, played):
    with ledger.reading() as connection:
        counts = overviews.campaign_counts(connection, [played, "nobody"])
        progress = overviews.oracle_progress(connection, played, ROUNDS)
        assert overviews.lease_expiry(connection, played) is None
    labels = len(ledger.labels(played, Source.ORACLE))
    assert counts[played] == overviews.CampaignCounts(ROUNDS, labels, ROUNDS)
    assert counts["nobody"] == overviews.CampaignCounts(0, 0, 0)
    assert progress == overviews.OracleProgress(labels + ROUNDS, 6, 6)
    with ledger.lease(played), ledger.reading() as connection:
        assert overviews.lease_expiry(connection, played) > datetime.now(UTC)


def test_the_stamp_changes_with_the_campaign_and_only_then(ledger, played):
    def stamp():
        with ledger.reading() as connection:
            return overviews.stamp(connection, played)

    stamps = [stamp()]
    assert stamp() == stamps[0]
    ledger.event(played, "something")
    stamps.append(stamp())
    ledger.start_round(played, ROUNDS + 1)
    stamps.append(stamp())
    ledger.set_campaign_state(played, "failed", error="no")
    stamps.append(stamp())
    assert len(set(stamps)) == len(stamps)


def test_pages_of_predictions_are_in_order_and_complete(ledger, played):
    with ledger.reading() as connection:
        pages = [
            browsing.screened_page(connection, played, None, 20, offset) for offset in (0, 20, 40)
        ]
    total = ledger.funnel(played).predicted
    assert {count for count, _ in pages} == {total}
    rows = [row for _, page in pages for row in page]
    assert len({row.key for row in rows}) == len(rows) == min(total, 60)
    assert [r.surrogate_error for r in rows] == sorted(r.surrogate_error for r in rows)
    labelled = {label.candidate for label in ledger.labels(played, Source.ORACLE)}
    assert {r.key for r in rows if r.sources} == labelled & {r.key for r in rows}
    assert sum(r.selected for r in rows) >= len(labelled & {r.key for r in rows})


def test_pages_of_samples_by_reason(ledger, played):
    drops = ledger.funnel(played).drops
    with ledger.reading() as connection:
        for reason in DROPS:
            total, rows = browsing.sample_page(connection, played, None, reason, 5, 0)
            assert total == drops.get(reason, 0)
            assert len(rows) == min(total, 5)
            assert {row.found.drop_reason for row in rows} <= {reason}
        total, rows = browsing.sample_page(connection, played, 2, None, 1000, 0)
    assert [row.found for row in rows] == ledger.samples(played, 2)
    assert total == len(rows)


def test_the_story_of_a_candidate(ledger, played):
    label = ledger.labels(played, Source.ORACLE)[0]
    with ledger.reading() as connection:
        story = browsing.candidate_story(connection, played, label.candidate)
        assert browsing.candidate_story(connection, played, "0" * 16) is None
    assert story.labels == (label,)
    assert story.samples[0].found.candidate == label.candidate
    assert story.samples[0].round == story.candidate.round
    [(version, number, prediction)] = story.predictions
    assert (version, number) == (f"s{story.candidate.round}", story.candidate.round)
    assert prediction.candidate == label.candidate
    assert story.selections[0][3] == label.oracle_key == story.call.key
    assert story.failures == ()


def test_the_story_of_a_failure(ledger, played):
    with ledger.reading() as connection:
        _, rows = browsing.screened_page(connection, played, 1, 100, 0)
        failed = [r.key for r in rows if r.selected and not r.sources]
        story = browsing.candidate_story(connection, played, failed[0])
    assert story.labels == ()
    assert [f.final for f in story.failures] == [True]
    assert "not> converged" in story.failures[0].error
