"""Adapters trained by Ray Train for real, on a toy task."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from defects.errors import ModelError
from training.base_model import load_base
from training.examples import Example
from training.lora import AdapterSpec, LoraHyperparameters, Resources, train_adapter
from training.manifest import read_adapter
from training.pretrain import PretrainSettings, pretrain
from training.sampling import generate
from training.sources import JsonlSource, write_examples

from tiny_language_model import (  # isort: skip
    TINY, digit_examples, tiny_tokenizer, copied_digits, write_tiny_base,
)  # fmt: skip

ONE = Resources(threads=1)  # nothing here is large enough for two
QUICK = LoraHyperparameters(
    learning_rate=5e-3, dropout=0.0, epochs=1000, max_steps=120, batch_size=32, warmup=0.02
)


def test_published_hyperparameters_are_the_defaults() -> None:
    h = LoraHyperparameters()
    assert (h.learning_rate, h.schedule, h.epochs) == (1e-4, "cosine", 10)
    assert (h.rank, h.dropout, h.alpha) == (8, 0.05, 32)


@pytest.mark.parametrize(
    "change",
    [{"rank": 0}, {"learning_rate": -1.0}, {"dropout": 1.0}, {"schedule": "cubic"}, {"epochs": 0}],
)
def test_impossible_hyperparameters_are_refused(change) -> None:
    with pytest.raises(ModelError, match=next(iter(change))):
        LoraHyperparameters(**change)


def test_the_fingerprint_follows_what_decides(tmp_path) -> None:
    base = write_tiny_base(tmp_path / "base")
    spec = AdapterSpec(str(base), JsonlSource("a.jsonl"), tmp_path, "r001")
    assert spec.fingerprint() == replace(spec, facts={"round": 1}).fingerprint()
    for change in (
        {"seed": 1},
        {"source": JsonlSource("b.jsonl")},
        {"data_hash": "x"},
        {"hyperparameters": QUICK},
        {"prefix": "r002"},
    ):
        assert spec.fingerprint() != replace(spec, **change).fingerprint()
    write_tiny_base(base, seed=5)
    assert (
        replace(spec).fingerprint()
        != AdapterSpec(
            str(write_tiny_base(tmp_path / "other", 6)), spec.source, tmp_path, "r001"
        ).fingerprint()
    )


def test_names_that_nothing_could_serve_are_refused(tmp_path) -> None:
    for prefix in ("", "../r001", "R001", "a b", ".r"):
        with pytest.raises(ModelError, match="adapter name"):
            AdapterSpec("base", JsonlSource("a"), tmp_path, prefix)


def test_missing_base_and_parent_are_told_before_ray_starts(tmp_path) -> None:
    spec = AdapterSpec(str(tmp_path / "nowhere"), JsonlSource("a"), tmp_path / "adapters")
    with pytest.raises(ModelError, match="no base model"):
        train_adapter(spec)
    base = write_tiny_base(tmp_path / "base")
    with pytest.raises(ModelError, match="no adapter folder"):
        train_adapter(replace(spec, base=str(base), parent=tmp_path / "gone"))
    assert not (tmp_path / "adapters").exists()


class FolderCheckpoint:
    """What Ray Train hands back: here a folder with the files of an adapter."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(b"weights")
        (folder / "adapter_config.json").write_text('{"target_modules": []}')
        self.folder = folder

    @contextmanager
    def as_directory(self):
        yield self.folder


def test_a_finished_run_leaves_only_its_adapter_and_a_failed_one_its_checkpoint(
    tmp_path, monkeypatch
) -> None:
    root = tmp_path / "adapters"
    failing = [True]

    def fit(spec, resources, name, storage_path, progress_file):
        checkpoint = FolderCheckpoint(Path(storage_path) / name / f"checkpoint_{len(failing)}")
        progress_file.write_text('{"step": 1}\n')
        if failing[-1]:
            raise ModelError("the machine went down")
        return {"steps": 1}, checkpoint

    monkeypatch.setattr("training.lora._fit", fit)
    monkeypatch.setattr("training.lora.ray_running", nullcontext)
    base = write_tiny_base(tmp_path / "base")
    spec = AdapterSpec(str(base), JsonlSource("a.jsonl"), root, "r001", data_hash="d")
    other = root / ".runs" / "somebody-elses"
    other.mkdir(parents=True)

    with pytest.raises(ModelError, match="went down"):
        train_adapter(spec)
    assert len(list(root.glob(".runs/r001-*/checkpoint_1/adapter_model.safetensors"))) == 1
    failing.append(False)
    result = train_adapter(spec)
    assert {p.name for p in root.iterdir()} == {".runs", result.name}
    assert list((root / ".runs").iterdir()) == [other]

    other.rmdir()
    train_adapter(replace(spec, prefix="r002"))
    assert not (root / ".runs").exists()


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A base that knows the words but not the mapping, examples of it, and Ray."""
    import ray

    folder = tmp_path_factory.mktemp("toy")
    settings = PretrainSettings(
        minutes=2, max_steps=250, batch_tokens=2048, model=TINY, learning_rate=5e-3, threads=1
    )
    pretrain(copied_digits, tiny_tokenizer(), folder / "base", settings, dtype="float32")
    write_examples(digit_examples(300, 1), folder / "train.jsonl")
    write_examples(digit_examples(60, 2), folder / "held_out.jsonl")
    ray.init(address="local", num_cpus=6, include_dashboard=False, log_to_driver=False)
    yield folder
    ray.shutdown()


def spec_of(toy: Path, root: Path, **changes) -> AdapterSpec:
    return AdapterSpec(
        **{
            "base": str(toy / "base"),
            "source": JsonlSource(str(toy / "train.jsonl")),
            "root": root,
            "prefix": "r001",
            "hyperparameters": QUICK,
            "eval_source": JsonlSource(str(toy / "held_out.jsonl")),
            **changes,
        }
    )


def right_answers(base: Path, adapter: Path | None) -> float:
    """Share of the greedy answers to new prompts that are right."""
    model, tokenizer = load_base(base)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter))
    examples = digit_examples(50, 3)
    answers = generate(
        model, tokenizer, [e.prompt for e in examples], temperature=0, max_new_tokens=12
    )
    return sum(a == e.answer for a, e in zip(answers, examples, strict=True)) / len(examples)


@pytest.mark.slow
def test_an_adapter_learns_what_its_base_does_not_know(toy, tmp_path, monkeypatch) -> None:
    seen: list[dict] = []
    spec = spec_of(toy, tmp_path, facts={"format": "compact", "properties": ["homo_lumo_gap"]})
    result = train_adapter(spec, ONE, on_progress=seen.append)

    assert result.metrics["eval_loss"] < 0.5 * result.metrics["eval_loss_before"]
    assert right_answers(toy / "base", None) < 0.4
    assert right_answers(toy / "base", result.path) > 0.9

    manifest = read_adapter(result.path).manifest
    assert manifest["hyperparameters"]["learning_rate"] == 5e-3
    assert manifest["properties"] == ["homo_lumo_gap"] and manifest["seed"] == 0
    assert len(manifest["base_hash"]) == len(manifest["data_hash"]) == 64
    config = json.loads((result.path / "adapter_config.json").read_text())
    assert config["r"] == 8 and "q_proj" in config["target_modules"]
    assert "lm_head" not in config["target_modules"]
    # Nothing else is left below the root.
    assert [p for p in tmp_path.rglob("*") if p.parent != result.path] == [result.path]
    assert seen and seen[-1]["progress"] == 1.0 and seen[-1]["step"] == 120

    monkeypatch.setattr("training.lora._fit", lambda *_: pytest.fail("trained twice"))
    assert train_adapter(spec).path == result.path


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_two_workers_give_the_adapter_of_one(toy, tmp_path, sharding) -> None:
    from safetensors.numpy import load_file

    few = replace(QUICK, max_steps=8, bf16=False)
    alone = train_adapter(spec_of(toy, tmp_path / "one", hyperparameters=few), ONE)
    # 600 tokens: several micro-batches a step, which must not matter either.
    split = replace(few, micro_tokens=100)
    shared = train_adapter(
        spec_of(toy, tmp_path / "two", hyperparameters=split),
        Resources(workers=2, threads=1, sharding=sharding),
        storage_path=(tmp_path / "shared").as_uri(),
    )
    assert not list((tmp_path / "shared").iterdir())
    one, two = (load_file(r.path / "adapter_model.safetensors") for r in (alone, shared))
    assert one.keys() == two.keys()
    for name, weights in one.items():
        # The order in which gradients are added up is all that differs.
        assert abs(weights - two[name]).max() < 1e-4, name
    assert shared.metrics["eval_loss"] == pytest.approx(alone.metrics["eval_loss"], abs=1e-4)


@pytest.mark.slow
def test_the_clock_ends_a_run_and_its_schedule(toy, tmp_path) -> None:
    timed = replace(QUICK, max_steps=None, max_seconds=3.0)
    seen: list[dict] = []
    result = train_adapter(
        spec_of(toy, tmp_path, hyperparameters=timed), ONE, on_progress=seen.append
    )
    assert result.metrics["seconds"] >= 3.0
    # The clock ended it before its last step, and the schedule followed the clock to its end.
    last = seen[-1]
    assert 1 <= result.metrics["steps"] == last["step"] < last["steps"]
    assert last["progress"] == 1.0 > max((line["progress"] for line in seen[:-1]), default=0.0)


@pytest.mark.slow
def test_a_worker_that_dies_goes_on_in_the_middle_of_an_epoch(toy, tmp_path) -> None:
    per_epoch = 10  # 300 examples, 32 a step
    began: dict[int, int] = {}  # steps done before each worker process
    seen: set[Path] = set()
    lines: list[dict] = []

    def kill_who_began_with_an_epoch(line: dict) -> None:
        lines.append(line)
        began.setdefault(line["pid"], line["step"] - 1)
        new = set(tmp_path.glob(".runs/*/checkpoint_*/state.pt")) - seen
        if new and began[line["pid"]] % per_epoch == 0:
            seen.update(new)
            with suppress(ProcessLookupError):  # its last lines are read after its end
                os.kill(line["pid"], signal.SIGKILL)

    long = replace(QUICK, max_steps=400)
    result = train_adapter(
        spec_of(toy, tmp_path, hyperparameters=long),
        Resources(threads=1, checkpoint_seconds=1),
        on_progress=kill_who_began_with_an_epoch,
    )
    whole = train_adapter(spec_of(toy, tmp_path / "whole", hyperparameters=long), ONE)
    assert result.metrics["eval_loss"] == pytest.approx(whole.metrics["eval_loss"], rel=0.02)
    assert result.metrics["train_loss"] == pytest.approx(whole.metrics["train_loss"], rel=0.02)
    assert (result.metrics["steps"], result.metrics["epochs"]) == (400, 40)
    # It went on from the checkpoint, not from the start, and with the rest of that epoch.
    first, *_, last = began.values()
    assert first == 0 < last < 400 and last % per_epoch
    assert all(line["epoch"] == (line["step"] - 1) // per_epoch for line in lines)
    assert lines[-1]["pid"] != lines[0]["pid"]
    assert right_answers(toy / "base", result.path) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    "max_length, said", [(500, "128 tokens: .*longer context"), (20, "20 tokens: .*max_length")]
)
def test_what_no_retry_can_mend_is_told_at_once(toy, tmp_path, max_length, said) -> None:
    write_examples([Example("homo: 1\n" * 100, "W")], tmp_path / "long.jsonl")
    source = JsonlSource(str(tmp_path / "long.jsonl"))
    limited = replace(QUICK, max_length=max_length)
    with pytest.raises(ModelError, match=f"none of 1 training examples fits {said}"):
        train_adapter(
            spec_of(toy, tmp_path / "adapters", source=source, hyperparameters=limited), ONE
        )
    assert list((tmp_path / "adapters").iterdir()) == []
