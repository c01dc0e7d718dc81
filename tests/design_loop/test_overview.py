"""A campaign at a glance, in every state that it can be in."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from fake_campaign import FakeCampaign
from rich.console import Console

from design_loop.ledger import CampaignState, Ledger
from design_loop.overview import next_steps, overview
from design_loop.overview_view import commands, overview_dict, overview_page


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def _page(seen, width=80, top=5):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as text:
        console.print(overview_page(seen, top))
    return text.get()


def test_a_campaign_half_way_tells_where_it_is_and_how_to_go_on(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path)
    campaign.run(1)
    ledger.start_round(campaign.id, 2)
    ledger.event(campaign.id, "the oracle hung", level="warning", number=1)
    seen = overview(ledger, campaign.id)
    assert seen.standing == "running, but nobody drives it: its driver was killed"
    assert (seen.rounds_done, seen.rounds, seen.step.name) == (1, 3, "generate")
    assert (seen.calls, seen.budget) == (6, 36)
    page = _page(seen)
    assert "1 of 3 done" in page
    assert "round 2 is at generate" in page
    assert "6 of 36 oracle calls, 1 of them failed" in page
    assert "round 1: the oracle hung" in page
    assert "6 selected, 5 verified" in page
    funnel = replace(seen.summary.funnel, earlier=2)
    later = replace(seen, summary=replace(seen.summary, funnel=funnel))
    assert "6 selected (2 by a later round), 5" in " ".join(_page(later, 200).split())
    assert next_steps(seen) == [("go on", f"campaign resume {campaign.id}")]
    with ledger.lease(campaign.id):
        driven = overview(ledger, campaign.id)
        assert driven.standing.startswith("running (process ")
        assert next_steps(driven)[0] == ("look on", f"campaign watch {campaign.id}")


def test_what_is_left_follows_from_the_rounds_so_far(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path, pause=0.02)
    campaign.run(2)
    seen = overview(ledger, campaign.id)
    [last] = [r for r in seen.summary.rounds if r.number == 2]
    [first] = [r for r in seen.summary.rounds if r.number == 1]
    mean = (first.total_seconds + last.total_seconds) / 2
    assert seen.remaining == pytest.approx(mean)
    ledger.extend(campaign.id, rounds=2, budget=None)
    longer = overview(ledger, campaign.id)
    assert longer.rounds == 5
    assert longer.remaining == pytest.approx(3 * mean)


@pytest.mark.parametrize(
    ("state", "first"),
    [
        (CampaignState.PAUSED, "resume"),
        (CampaignState.STOPPED, "resume"),
        (CampaignState.FAILED, "doctor"),
        (CampaignState.WAITING, "import-labels"),
    ],
)
def test_every_state_has_its_next_step_and_each_is_a_command(tmp_path, ledger, state, first):
    from design_loop.cli import campaign as group

    campaign = FakeCampaign(ledger, tmp_path)
    campaign.run(1)
    ledger.set_campaign_state(campaign.id, state, "no space left")
    seen = overview(ledger, campaign.id)
    assert next_steps(seen)[0][1].split()[1] == first
    known = {c.name or c.callback.__name__ for c in group.app.registered_commands}
    for line in commands(seen, " --workdir somewhere"):
        words = line.split("design-loop ")[1].split()
        assert words[1].replace("-", "_") in {name.replace("-", "_") for name in known}
        assert line.endswith(" --workdir somewhere")


def test_a_finished_campaign_fits_a_screen_and_offers_its_candidates(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path).run()
    seen = overview(ledger, campaign)
    page = _page(seen)
    assert len(page.splitlines()) <= 32
    assert max(map(len, page.splitlines())) <= 80
    assert seen.remaining == 0
    assert "8 of 15 labelled meet all targets" in page
    assert page.count("V_Mo") > 0
    steps = [command for _, command in next_steps(seen)]
    assert steps[0].startswith(f"campaign export {campaign}")
    assert "--hits" in steps[0]
    assert "ledger.sqlite" in "".join(page.split())
    assert "Verified" not in _page(seen, top=0)


def test_programs_get_the_same_as_plain_data(tmp_path, ledger):
    campaign = FakeCampaign(ledger, tmp_path).run()
    data = json.loads(json.dumps(overview_dict(overview(ledger, campaign), 2), allow_nan=False))
    assert data["state"] == "done"
    assert data["rounds_done"] == data["rounds_in_all"] == 3
    assert data["hits"] == 8
    assert len(data["candidates"]) == 2
    assert data["files"]["ledger"].endswith("ledger.sqlite")
    assert data["next"][-1] == f"design-loop campaign extend {campaign} --rounds 3"
    assert data["models"] == {"adapter": "r004-000000000004", "surrogate": "s4"}
