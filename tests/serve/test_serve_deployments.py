"""What the configuration says of replicas and queues is what Serve is told, and what it runs."""

from __future__ import annotations

import pytest

from serve.config import ServeConfig
from serve.deployments import llm_app, surrogate_app

SCALING = {
    "min_replicas": 1,
    "max_replicas": 3,
    "target_ongoing_requests": 7.0,
    "upscale_delay_s": 1.0,
    "downscale_delay_s": 90.0,
}
CONFIG = ServeConfig(
    base_model="some/model",
    num_replicas=2,
    surrogate_autoscaling=SCALING,
    engine={"tensor_parallel_size": 4},
    limits={
        "max_ongoing_requests": 33,
        "surrogate_ongoing_requests": 44,
        "max_queued_requests": 55,
    },
)


def test_the_language_models_limits_and_gpus():
    deployment = llm_app(CONFIG, "gpu")._bound_deployment
    options = deployment._deployment_config
    assert (options.max_ongoing_requests, options.max_queued_requests) == (33, 55)
    assert (options.num_replicas, options.autoscaling_config) == (2, None)
    bundles = deployment._replica_config.placement_group_bundles
    assert sum(bundle.get("GPU", 0) for bundle in bundles) == 4


def test_the_language_model_scales_by_load():
    config = CONFIG.model_copy(
        update={"autoscaling": CONFIG.surrogate_autoscaling, "surrogate_autoscaling": None}
    )
    scaling = llm_app(config, "cpu")._bound_deployment._deployment_config.autoscaling_config
    assert scaling.model_dump().items() >= SCALING.items()
    assert surrogate_app(config, None)._bound_deployment._deployment_config.num_replicas == 1


@pytest.mark.slow
def test_a_running_serve_has_them_and_adds_replicas_under_load(tmp_path):
    import threading
    import time
    from concurrent.futures import ThreadPoolExecutor

    from fake_surrogate import write as write_surrogate
    from ray import serve as ray_serve

    from serve.app import deploy
    from serve.client import ServeClient
    from serve.names import DEPLOYMENT, SURROGATE_APP

    config = CONFIG.model_copy(
        update={
            "base_model": None,
            "surrogate": write_surrogate(tmp_path / "s1", "v1"),
            "surrogate_autoscaling": CONFIG.surrogate_autoscaling.model_copy(
                update={"target_ongoing_requests": 2.0}
            ),
        }
    )

    # Inside, so that it travels to the replica as code: the tests' modules are not there.
    def load(folder):
        import numpy as np

        class Predictions:
            properties = ("homo",)
            mean, std, ood = np.zeros((99, 1)), np.ones((99, 1)), np.zeros(99, dtype=bool)

        class Slow:
            version, properties = "v1", ("homo",)

            def predict(self, configurations):
                time.sleep(0.1)
                return Predictions()

        return Slow()

    one = {"host": "MoS2", "supercell": [4, 4, 1], "defects": [[0, "VAC"]]}
    with deploy(config, load_surrogate=load) as handle:
        details = ray_serve.context._get_global_client().get_serve_details()
        running = details["applications"][SURROGATE_APP]["deployments"][DEPLOYMENT]
        told = running["deployment_config"]
        assert (told["max_ongoing_requests"], told["max_queued_requests"]) == (44, 55)
        assert told["autoscaling_config"]["max_replicas"] == 3

        def replicas():
            status = ray_serve.status().applications[SURROGATE_APP].deployments[DEPLOYMENT]
            return status.replica_states.get("RUNNING", 0)

        assert replicas() == 1
        end, enough = time.monotonic() + 240, threading.Event()

        def ask(_):
            with ServeClient(handle.base_url) as client:
                while time.monotonic() < end and not enough.is_set():
                    client.predict([one])

        with ThreadPoolExecutor(8) as pool:
            jobs = pool.map(ask, range(8))
            while time.monotonic() < end and replicas() < 2:
                time.sleep(0.2)
            found = replicas()
            enough.set()
            list(jobs)
        assert found > 1
