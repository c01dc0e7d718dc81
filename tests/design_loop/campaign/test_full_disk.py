"""The ledger's disk is full in the middle of a campaign: what waits, what stops, what is lost."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from sqlalchemy import event

from design_loop.campaign import driver
from design_loop.config import load_campaign
from design_loop.ledger import CampaignState, Ledger, LedgerUnavailableError, Source
from design_loop.ledger import durable as durable_writes
from design_loop.ledger import lease as leases
from design_loop.progress import SilentProgress
from tests.design_loop.campaign.quick_services import QuickServices, write_campaign

pytestmark = pytest.mark.slow


class Disk:
    """Of the ledger: while it is full no transaction is committed. Its clock runs by pauses alone.

    SQLite reports a page limit with the very error of a full disk.
    """

    def __init__(self):
        self.full, self.pauses, self.pauses_left = False, [], 0

    def fill(self, pauses):
        """Be full until a writer has paused so often."""
        self.full, self.pauses_left = pauses > 0, pauses

    def commit(self, connection):
        """Let a transaction find no room, however little it wrote."""
        if not self.full:
            return
        raw = connection.connection
        raw.execute(f"PRAGMA max_page_count = {raw.execute('PRAGMA page_count').fetchone()[0]}")
        try:
            connection.exec_driver_sql("CREATE TABLE more AS SELECT zeroblob(1000000) AS x")
        finally:
            raw.execute("PRAGMA max_page_count = 1000000")

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.pauses_left -= 1
        self.full = self.pauses_left > 0


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()

    def opened(*arguments, **options):
        ledger = Ledger(*arguments, **options)
        event.listen(ledger._database._engine, "commit", disk.commit)
        return ledger

    clock = SimpleNamespace(monotonic=lambda: sum(disk.pauses), sleep=disk.sleep)
    monkeypatch.setattr(driver, "Ledger", opened)
    monkeypatch.setattr(durable_writes, "time", clock)
    return disk


class Filling(QuickServices):
    """The disk is full when the third label of a round comes, and after a round's samples."""

    def __init__(self, folder, config, disk, label_pauses, sample_pauses):
        super().__init__(folder, config)
        self.disk, self.label_pauses, self.sample_pauses = disk, label_pauses, sample_pauses
        last = sorted((folder / "surrogates").glob("r*/manifest.json"))
        if last:
            self.use_surrogate(last[-1].parent)

    def label(self, oracle, configurations, on_result, on_failure, limits):
        def came(result):
            if result.index == 2:
                self.disk.fill(self.label_pauses)
            on_result(result)

        return super().label(oracle, configurations, came, on_failure, limits)

    def sample(self, prompts, adapter, **sampling):
        found = super().sample(prompts, adapter, **sampling)
        if len(prompts) > 1:  # not the probe of an adapter
            self.disk.fill(self.sample_pauses)
        return found


def _run(folder, disk, action="start", label_pauses=0, sample_pauses=0):
    def services(config, campaign, tell):
        return Filling(campaign, config, disk, label_pauses, sample_pauses)

    runs = folder / "runs"
    store, progress = str(runs / "ledger.sqlite"), SilentProgress()
    if action == "start":
        config = load_campaign(folder / "campaign.yaml")
        return driver.start(config, runs, store, progress, services)
    return driver.resume(action, runs, store, progress, services)


def _read(folder):
    """What a campaign came to, and how often each label was computed."""
    with Ledger(folder / "runs" / "ledger.sqlite", create=False) as ledger:
        [campaign] = ledger.campaigns()
        found = {
            "state": campaign.state,
            "steps": [(s.round, s.name, str(s.state)) for s in ledger.steps(campaign.id)],
            "labels": {
                label.candidate: dict(label.properties)
                for label in ledger.labels(campaign.id, Source.ORACLE)
            },
            "funnel": ledger.funnel(campaign.id),
            "adapters": [a.name for a in ledger.adapters(campaign.id)],
        }
    [log] = (folder / "runs").glob("**/oracle_calls.log")
    return found, Counter(log.read_text().split())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    write_campaign(folder)
    _run(folder, Disk())
    found, computed = _read(folder)
    assert found["state"] is CampaignState.DONE
    assert len(found["labels"]) == len(computed) == 8
    return found


@pytest.fixture
def folder(tmp_path):
    write_campaign(tmp_path)
    return tmp_path


def test_a_campaign_waits_for_space_and_ends_as_if_nothing_had_happened(
    folder, disk, undisturbed, caplog
):
    _run(folder, disk, label_pauses=4, sample_pauses=2)
    found, computed = _read(folder)
    assert found == undisturbed
    assert set(computed.values()) == {1}
    # In each round the samples wait until the second pause, a label until the fourth.
    assert disk.pauses == 2 * [0.5, 1, 0.5, 1, 2, 4]
    told = [r.getMessage() for r in caplog.records if "Trying again for" in r.getMessage()]
    assert len(told) == 12
    assert all("no space is left for the ledger" in text for text in told)


def test_a_campaign_whose_disk_stays_full_stops_after_ten_minutes_and_goes_on_later(
    folder, disk, undisturbed, monkeypatch
):
    with pytest.raises(LedgerUnavailableError) as told:
        _run(folder, disk, label_pauses=10_000)
    assert sum(disk.pauses) == driver.PATIENCE_S == 600  # and not once more on the way out
    line = str(told.value)
    assert "no space is left for the ledger" in line and "campaign resume" in line
    assert "\n" not in line
    [name] = [c.name for c in (folder / "runs").iterdir() if c.is_dir()]
    before, _ = _read(folder)
    assert len(before["labels"]) == 2
    disk.full = False
    # By then its process has ended, which could not even give its lease back.
    monkeypatch.setattr(leases, "is_dead", lambda owner: True)
    _run(folder, disk, name)
    found, computed = _read(folder)
    assert found == undisturbed
    assert before["labels"].items() <= found["labels"].items()
    # Only the one that found no room was computed again.
    [again] = [key for key, times in computed.items() if times > 1]
    assert computed[again] == 2 and again not in before["labels"]
