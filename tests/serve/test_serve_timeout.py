"""What a real Serve answers for requests that take too long, or find no place in a queue."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fake_surrogate import write as write_surrogate

from serve.config import ServeConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_late_answers_are_408_and_a_full_queue_says_when_to_come_back(tmp_path):
    from serve.app import deploy

    # Inside, so that it travels to the replica as code: the tests' modules are not there.
    def load(folder):
        import time

        import numpy as np

        class Slow:
            version, properties = "v1", ("homo",)

            def predict(self, configurations):
                time.sleep(8 if any(c.n_defects > 1 for c in configurations) else 0)
                n = len(configurations)

                class Predictions:
                    properties = ("homo",)
                    mean, std, ood = np.zeros((n, 1)), np.ones((n, 1)), np.zeros(n, dtype=bool)

                return Predictions()

        return Slow()

    config = ServeConfig(
        surrogate=write_surrogate(tmp_path / "s1", "v1"),
        limits={
            "request_timeout_s": 4,
            "surrogate_ongoing_requests": 1,
            "max_queued_requests": 1,
        },
    )

    def body(*sites):
        defects = [[site, "VAC"] for site in sites]
        return {"configurations": [{"host": "MoS2", "supercell": [4, 4, 1], "defects": defects}]}

    with deploy(config, load_surrogate=load) as handle:
        url = f"{handle.base_url}/v1/predict"

        def ask(sites):
            return httpx.post(url, json=body(*sites), trust_env=False, timeout=60)

        # The first ones load hosts and models; on a busy machine that takes longer than 4 s, too.
        assert any(ask([0]).status_code == 200 for _ in range(10))
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(ask, [[0, 1]] * 8))
        late = [r for r in replies if r.status_code == 408]
        refused = [r for r in replies if r.status_code == 503]
        assert late and refused
        assert len(late) + len(refused) == len(replies)
        assert all(int(r.headers["retry-after"]) > 0 for r in refused)
        assert all("Traceback" not in r.text and str(tmp_path) not in r.text for r in replies)
        assert all("timed out" in r.text for r in late)
