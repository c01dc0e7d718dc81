"""Places for checkpoints: what is refused, and that runs are removed from folder and address."""

from __future__ import annotations

import pytest

from defects.errors import ModelError
from training.storage import check_storage, forget_run


@pytest.mark.parametrize("place", ["/shared/runs", "s3://bucket/runs", "gs://b", "file:///tmp/x"])
def test_places_that_workers_can_open(place):
    check_storage(place)


@pytest.mark.parametrize("place", ["ftp://host/x", "memory://x", "s3://", "https://host/x"])
def test_other_addresses_are_refused(place):
    with pytest.raises(ModelError, match=r"checkpoints cannot|names no bucket"):
        check_storage(place)


@pytest.mark.parametrize("address", [str, lambda path: path.as_uri()], ids=["folder", "address"])
def test_only_the_named_run_is_removed(tmp_path, address):
    for name in ("one", "two"):
        (tmp_path / name / "checkpoint_1").mkdir(parents=True)
    forget_run(address(tmp_path), "one")
    forget_run(address(tmp_path), "gone")
    assert [p.name for p in tmp_path.iterdir()] == ["two"]
