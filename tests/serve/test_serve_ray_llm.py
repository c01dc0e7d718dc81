"""What is relied on in Ray's and vLLM's internals, and the parts of ours that need them."""

from __future__ import annotations

import asyncio
import inspect
import typing
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from sealed import publish

from serve.adapters import (
    AdapterDamagedError,
    AdapterNotFoundError,
    AdapterStore,
    WrongBaseError,
)
from serve.config import LORA_RANKS, ServeConfig
from serve.deployments import llm_app
from serve.schemas import ChatBody, CompletionBody
from training.base_model import base_hash

pytestmark = pytest.mark.slow  # imports vLLM


@pytest.fixture(scope="module")
def ray_llm():
    import serve.ray_llm as module

    return module


def parameters(function):
    return set(inspect.signature(function).parameters)


def test_the_server_takes_an_engine_and_a_loader(ray_llm):
    server = ray_llm.LLMServer
    assert {"engine_cls", "model_downloader"} <= parameters(server.sync_init)
    for name in ("start", "chat", "completions", "check_health"):
        assert inspect.iscoroutinefunction(getattr(server, name))


def test_the_loaders_contract(ray_llm):
    assert set(ray_llm.DiskMultiplexConfig.model_fields) == {
        "model_id",
        "max_total_tokens",
        "local_path",
        "lora_assigned_int_id",
    }
    source = inspect.getsource(ray_llm.LLMServer._init_multiplex_loader)
    assert "download_timeout_s=" in source
    assert "load_model_from_config(" in source


def test_the_engines_hooks(ray_llm):
    engine = ray_llm.LocalEngine.__mro__[1]
    assert inspect.iscoroutinefunction(engine.resolve_lora)
    assert "callback_ctx" in parameters(engine._prepare_engine_config)
    assert "run_init_node" in inspect.getsource(engine.start)
    assert callable(ray_llm.ray_llm_server.push_telemetry_report_for_all_models)


def test_vllm_starts_its_engine_core_where_we_step_in(ray_llm):
    source = inspect.getsource(ray_llm.vllm_engine_utils.CoreEngineProcManager.__init__)
    assert "context = get_mp_context()" in source
    assert "target=EngineCoreProc.run_engine_core" in source


def test_the_cpu_code_that_is_replaced_is_still_there():
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner

    for name in ("_apply_shrink", "_apply_expand", "add_lora_embedding", "add_lora_logits"):
        assert callable(getattr(PunicaWrapperCPU, name))
    assert "set_offset" in inspect.getsource(CPUModelRunner._bookkeeping_sync)
    assert "discard_request_mask" in inspect.getsource(CPUModelRunner._bookkeeping_sync)
    assert callable(CPUModelRunner._sample)


def test_rays_own_switches():
    from ray._private import ray_constants
    from ray.serve._private import replica

    assert isinstance(ray_constants.ENABLE_RAY_CLUSTER, bool)
    assert 'add_port_to_grpc_server(self._server, "[::]:0")' in inspect.getsource(replica)


def test_lora_ranks_are_vllms():
    from vllm.config.lora import MaxLoRARanks

    assert typing.get_args(MaxLoRARanks) == LORA_RANKS


@pytest.mark.parametrize("body, request_cls", [(CompletionBody, "Completion"), (ChatBody, "Chat")])
def test_every_field_of_a_request_is_one_of_vllms(ray_llm, body, request_cls):
    name = {"Completion": "CompletionRequest", "Chat": "ChatCompletionRequest"}[request_cls]
    theirs = set(getattr(ray_llm, name).model_fields)
    # The one field of our own becomes the grammar that it stands for before the engine sees it.
    assert set(body.model_fields) - {"constraint"} <= theirs
    assert "structured_outputs" in theirs


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_llm_config_is_one_that_ray_accepts(ray_llm, tmp_path, device):
    (tmp_path / "config.json").write_text('{"dtype": "float16"}')
    config = ServeConfig(base_model=str(tmp_path), base_id="b", lora={"max_cpu_loras": 5})
    made = ray_llm.build_llm_config(config, device)
    assert made.model_id == "b"
    assert made.accelerator_config.kind == device
    assert made.multiplex_config().max_num_models_per_replica == 5
    assert made.engine_kwargs["trust_remote_code"] is False
    assert made.engine_kwargs["dtype"] == {"cpu": "float32", "gpu": "auto"}[device]
    assert (made.log_engine_metrics, made.engine_kwargs["disable_log_stats"]) == (False, True)
    made.get_engine_config()  # every engine argument is one that vLLM knows


def test_the_engines_metrics_are_switched_on_in_both_places(ray_llm, tmp_path):
    (tmp_path / "config.json").write_text('{"dtype": "float32"}')
    config = ServeConfig(base_model=str(tmp_path), engine={"metrics": True})
    made = ray_llm.build_llm_config(config, "cpu")
    assert (made.log_engine_metrics, made.engine_kwargs["disable_log_stats"]) == (True, False)
    made.get_engine_config()  # here Ray refuses one without the other


def test_an_engine_that_is_split_over_gpus_has_as_many_places(ray_llm, tmp_path):
    (tmp_path / "config.json").write_text('{"dtype": "float16"}')
    config = ServeConfig(base_model=str(tmp_path), engine={"tensor_parallel_size": 4})
    made = ray_llm.build_llm_config(config, "gpu")
    assert made.engine_kwargs["tensor_parallel_size"] == 4
    engine = made.get_engine_config()
    assert (engine.tensor_parallel_degree, engine.num_devices) == (4, 4)
    assert engine.get_initialization_kwargs()["tensor_parallel_size"] == 4
    # What Ray would place by itself is what the deployment's own placement group has room for.
    assert (engine.placement_strategy, engine.placement_bundles) == ("PACK", [{"GPU": 1}] * 4)
    replica = llm_app(config, "gpu")._bound_deployment._replica_config
    assert replica.placement_group_strategy == "PACK"
    ours = replica.placement_group_bundles
    assert [bundle.get("GPU") for bundle in ours] == [1] * 4


def loader_of(ray_llm, root, base=None):
    """Ask a loader for a model, the served base having this hash."""
    config = ray_llm.build_llm_config(ServeConfig(base_model="some/model"), "cpu")
    served = Future()
    served.set_result(base)
    loader = ray_llm.LocalAdapterLoader(store=AdapterStore([root]), base_hash=served)
    return lambda model: asyncio.run(loader.load_model_from_config(model, config))


def test_the_local_loader(ray_llm, tmp_path):
    folder, other = publish(tmp_path), publish(tmp_path, "r002")
    load = loader_of(ray_llm, tmp_path)
    first = load(f"base:{folder.name}")
    assert (first.model_id, first.local_path) == (f"base:{folder.name}", str(folder.resolve()))
    assert load(f"base:{folder.name}") is first
    assert load(f"base:{other.name}").lora_assigned_int_id != first.lora_assigned_int_id
    with pytest.raises(AdapterNotFoundError):
        load("base:r003")
    with pytest.raises(ValueError, match="names the base model"):
        load("base")


def test_an_adapter_is_checked_every_time_that_it_is_loaded(ray_llm, tmp_path):
    folder = publish(tmp_path)
    load = loader_of(ray_llm, tmp_path)
    load(f"base:{folder.name}")
    (folder / "adapter_model.safetensors").write_bytes(b"other")
    with pytest.raises(AdapterDamagedError, match="was altered"):
        load(f"base:{folder.name}")


def test_an_adapter_of_another_base_is_not_loaded(ray_llm, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"weights")
    known = ray_llm.hash_base(ServeConfig(base_model=str(base))).result(30)
    assert known == base_hash(base)
    assert ray_llm.hash_base(ServeConfig(base_model="some/model")).result(30) is None
    good = publish(tmp_path / "a", base_hash=known)
    load = loader_of(ray_llm, tmp_path / "a", known)
    assert load(f"base:{good.name}").local_path == str(good)
    with pytest.raises(WrongBaseError, match="another base model"):
        loader_of(ray_llm, tmp_path / "a", "0" * 64)(f"base:{good.name}")


def test_grouped_lora_is_the_reference_sum():
    import torch

    from serve.cpu_lora import expand, group_rows, shrink

    generator = torch.Generator().manual_seed(0)
    slots, rank, inputs, outputs, rows = 3, 4, 8, 6, 10
    a = torch.randn(slots, 1, rank, inputs, generator=generator)
    b = torch.randn(slots, 1, outputs, rank, generator=generator)
    x = torch.randn(rows, inputs, generator=generator)
    y = torch.randn(rows, outputs, generator=generator)
    for slot_of_row in ([-1, 0, 2, 2, -1, 1, 0, 0, -1, 2], [1] * 10, [-1] * 10):
        expected = y.clone()
        for row, slot in enumerate(slot_of_row):
            if slot >= 0:
                expected[row] += 0.5 * b[slot, 0] @ (a[slot, 0] @ x[row])
        groups = group_rows(torch.tensor(slot_of_row))
        buffer, result = torch.zeros(rows, rank), y.clone()
        shrink(buffer, x, a, groups, 0.5)
        expand(result, buffer, b, groups, True)
        torch.testing.assert_close(result, expected)


def test_speculation_is_one_that_ray_and_vllm_accept(ray_llm, tmp_path):
    (tmp_path / "config.json").write_text('{"dtype": "float32"}')
    engine = {"speculative_tokens": 15, "max_num_seqs": 512}
    made = ray_llm.build_llm_config(ServeConfig(base_model=str(tmp_path), engine=engine), "cpu")
    assert made.engine_kwargs["speculative_config"]["num_speculative_tokens"] == 15
    assert made.engine_kwargs["max_num_batched_tokens"] == 512 * 16
    assert made.engine_kwargs["block_size"] == 32
    made.get_engine_config()
    from vllm.v1.spec_decode.custom_class_proposer import create_custom_proposer

    config = SimpleNamespace(
        speculative_config=SimpleNamespace(model=ray_llm.COPY_DRAFTS, num_speculative_tokens=15),
        model_config=SimpleNamespace(max_model_len=100),
    )
    assert create_custom_proposer(config).number == 15


def test_values_of_requests_reach_their_guessed_tokens():
    import torch
    import vllm.v1.sample.rejection_sampler as theirs

    from serve.cpu_speculation import expand_batch_to_tokens

    assert parameters(expand_batch_to_tokens) == parameters(theirs.expand_batch_to_tokens)
    assert "expand_batch_to_tokens(" in inspect.getsource(theirs.apply_sampling_constraints)
    values = torch.tensor([0.7, 0.0, 1.5])
    ends = torch.tensor([2, 2, 5], dtype=torch.int32)
    found = expand_batch_to_tokens(values, ends, 5)
    torch.testing.assert_close(found, torch.tensor([0.7, 0.7, 1.5, 1.5, 1.5]))
    zero = expand_batch_to_tokens(values[1:], torch.tensor([1, 2]), 2, replace_from=0, replace_to=1)
    assert zero.tolist() == [1.0, 1.5]


def test_a_grammar_is_checked_once_and_a_refused_one_every_time():
    from serve.checked_grammars import once_per_grammar

    seen = []

    def check(request):
        seen.append(request.structured_outputs.grammar)
        if "bad" in seen[-1]:
            raise ValueError("no grammar")

    def ask(text):
        return SimpleNamespace(structured_outputs=SimpleNamespace(grammar=text))

    checked = once_per_grammar(check)
    for _ in range(3):
        checked(ask("root ::= a"))
        with pytest.raises(ValueError, match="no grammar"):
            checked(ask("bad"))
    assert seen == ["root ::= a", "bad", "bad", "bad"]
    checked(SimpleNamespace(structured_outputs=SimpleNamespace(grammar="root ::= b")))
    assert len(seen) == 5
