"""A real server at twice its capacity, then with its replicas killed: short forms of benchmarks."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def benchmarks():
    """The modules `load`, `replica_kill` and `served` of the benchmarks' folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
        import load
        import replica_kill
        import served

        yield load, replica_kill, served


@pytest.fixture(scope="module")
def server(benchmarks, tmp_path_factory):
    *_, served = benchmarks
    folder = tmp_path_factory.mktemp("load")
    # Few enough that 20 s at the rate of a machine with other work to do bring more.
    with served.Served(folder, {"surrogate_replicas": 2}, per_minute=5) as server:
        yield server


def test_overload_is_refused_and_gone_when_it_ends(benchmarks, server):
    load, *_ = benchmarks
    options = argparse.Namespace(seed=0, seconds=20, capacity_seconds=5, users=16, times=2.0)
    report = load.measure(server, options)
    print(report)
    assert report["others"] == []
    assert report["statuses"]["200"] > 0
    # One of the two keys may ask five times a minute only.
    assert report["statuses"].get("429", 0) > 0
    assert report["without_retry_after"] == 0
    assert report["recovered_s"] is not None and report["recovered_s"] < 60
    # Of 5 GiB; the key-value cache of 1 GiB is touched bit by bit, and nothing else heaps up.
    assert report["memory"]["growth_mib"] < 512


def test_no_request_is_lost_with_a_replica(benchmarks, server):
    _, replica_kill, _ = benchmarks
    options = argparse.Namespace(
        threads=6, pause=1, only=["engine", "ServeReplica:design-loop-surrogate"]
    )
    report = replica_kill.measure(server, options)
    assert report["failed"] == []
    assert all(part["answers_after_s"] is not None for part in report["killed"].values())
    assert set(report["answered"]) == set(replica_kill.KINDS)
