"""One process that serves, ends, and serves again, as a driver does whose Ray died."""

from __future__ import annotations

import threading

import pytest
from fake_surrogate import write as write_surrogate

from serve.config import ServeConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_second_serve_of_a_process_is_its_own(tmp_path):
    import ray
    from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE
    from ray.serve._private.router import SingletonThreadRouter

    from serve.app import deploy

    # Inside, so that it travels to the replica as code: the tests' modules are not there.
    def load(folder):
        class Nothing:
            version, properties = "v1", ("homo",)

        return Nothing()

    config = ServeConfig(surrogate=write_surrogate(tmp_path / "s1", "v1"))
    with deploy(config, load_surrogate=load) as first:
        sessions = [ray.get_runtime_context().get_node_id()]
        assert first.base_url
        controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    # Nothing of it goes on, and a call that comes late starts no Ray of its own.
    assert SingletonThreadRouter._asyncio_loop is None
    with pytest.raises(AttributeError, match="core_worker"):
        controller.get_serve_instance_details.remote()
    assert not ray.is_initialized()
    # As after a Ray that died: the loop of Serve's handles waits for what is gone.
    stuck = threading.Event()
    loop = SingletonThreadRouter._get_singleton_asyncio_loop("test")
    loop.call_soon_threadsafe(stuck.wait, 280)
    with deploy(config, load_surrogate=load) as second:
        sessions.append(ray.get_runtime_context().get_node_id())
        from ray import serve

        assert second.apps.surrogate in serve.status().applications
    stuck.set()
    assert len(set(sessions)) == 2
