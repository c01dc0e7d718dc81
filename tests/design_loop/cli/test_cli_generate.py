"""``design-loop generate``, ``serve`` and ``adapter``: what they refuse before anything starts."""

from __future__ import annotations

import json

import pytest

from defects.errors import ModelError
from design_loop.adapters import finished_adapter
from training.spec import Resources


@pytest.fixture
def never(monkeypatch):
    """Fails the test if something is sampled."""
    import design_loop.generation

    def sample(**_):
        raise AssertionError("sampling began")

    monkeypatch.setattr(design_loop.generation, "generate_to_file", sample)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--target": "gap=1.1"}, "no property"),
        ({"--target": "homo_lumo_gap=wide"}, "write property=1.10"),
        ({"--target": "homo_lumo_gap=1.2..0.9"}, "swap them"),
        ({"--host": "MoS3"}, "MoS3"),
        ({"--supercell": "4y4"}, "4y4"),
        ({"--min-defects": 5, "--max-defects": 2}, "--min-defects 5"),
        ({"--num": 0}, "--num"),
        ({"--top-p": 1.5}, "--top-p"),
    ],
)
def test_generate_refuses_wrong_options(cli, never, tmp_path, change, said):
    options = {"--base": "small", "--host": "MoS2", "--target": "homo_lumo_gap=1.1", "--num": 4,
               "--defect": "V_S", "--out": tmp_path / "out.jsonl", **change}  # fmt: skip
    done = cli("generate", *(word for pair in options.items() for word in pair))
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "out.jsonl").exists()


def test_generate_without_its_adapter(cli, never, tmp_path):
    done = cli("generate", "--base", "small", "--adapter", tmp_path / "gone", "--host", "MoS2",
               "--target", "homo_lumo_gap=1", "--num", 4, "--out", tmp_path / "o")  # fmt: skip
    assert done.code == 1
    assert done.err.strip() == (
        f"design-loop: no finished adapter in {tmp_path / 'gone'}; make one with "
        f"`design-loop adapter train --out {tmp_path / 'gone'}`"
    )


def test_generate_hands_everything_on(cli, monkeypatch, tmp_path):
    import design_loop.generation

    calls = []

    def sample(**options):
        calls.append(options)
        return {"ok": 3, "malformed": 1}

    monkeypatch.setattr(design_loop.generation, "generate_to_file", sample)
    done = cli("generate", "--base", "small", "--host", "MoS2", "--supercell", "8x8", "--target",
               "homo_lumo_gap=1.10", "--target", "formation_energy_per_site<=2", "--num", 4,
               "--out", tmp_path / "o", "--format", "full", "--seed", 5)  # fmt: skip
    assert done.code == 0, done.err
    assert "3 ok, 1 malformed" in done.out
    [call] = calls
    assert call["host"].key == "MoS2-8x8x1"
    assert [t.text() for t in call["targets"]] == [
        "homo_lumo_gap = 1.1 ± 0.05",
        "formation_energy_per_site ≤ 2",
    ]
    assert (call["fmt"], call["seed"], call["adapter"], call["defects"]) == ("full", 5, None, None)


def test_generate_asks_for_the_rows_of_a_table(cli, monkeypatch, tmp_path):
    import design_loop.generation

    calls = []
    monkeypatch.setattr(
        design_loop.generation, "generate_to_file", lambda **o: calls.append(o) or {"ok": 4}
    )
    table = tmp_path / "asked.csv"
    table.write_text("homo_lumo_gap,homo\n1.5,-5\n0.75,-5.5\n")
    done = cli("generate", "--base", "small", "--host", "MoS2", "--targets-from", table,
               "--num", 4, "--out", tmp_path / "o")  # fmt: skip
    assert done.code == 0, done.err
    assert calls[0]["table"] == [
        {"homo_lumo_gap": 1.5, "homo": -5.0},
        {"homo_lumo_gap": 0.75, "homo": -5.5},
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("homo_lumo_gap\n", "holds no row"),
        ("homo_lumo_gap\n1.5\nwide\n", "line 3"),
        ("homo_lumo_gap,homo\n1.5\n", "line 2"),
        ("homo_lumo_gap\n1,2\n", "line 2"),
        ("homo_lumo_gap\nnan\n", "not finite"),
        ("gap\n1.5\n", "gap"),
    ],
)
def test_generate_refuses_a_table_it_cannot_read(cli, never, tmp_path, text, said):
    table = tmp_path / "asked.csv"
    table.write_text(text)
    done = cli("generate", "--base", "small", "--host", "MoS2", "--targets-from", table,
               "--num", 4, "--out", tmp_path / "o")  # fmt: skip
    assert done.code != 0
    assert said in done.err


def test_generate_wants_targets_from_one_place(cli, never, tmp_path):
    options = ("generate", "--base", "small", "--host", "MoS2", "--num", 4, "--out", tmp_path / "o")
    for more in ((), ("--target", "homo=-5", "--targets-from", tmp_path / "t.csv")):
        done = cli(*options, *more)
        assert done.code == 2
        assert "give one" in done.err


def test_an_adapter_folder_is_found_by_what_training_printed_or_by_its_parent(tmp_path):
    one = tmp_path / "adapter-0123"
    one.mkdir()
    (one / "manifest.json").write_text(json.dumps({}))
    (tmp_path / ".runs").mkdir()
    assert finished_adapter(one) == one
    assert finished_adapter(tmp_path) == one
    two = tmp_path / "adapter-4567"
    two.mkdir()
    (two / "manifest.json").write_text("{}")
    with pytest.raises(Exception, match="holds 2 adapters; name one"):
        finished_adapter(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot: 80\nbase_model: small\n", "prot"),
        ("base_model: small\nhost: 0.0.0.0\n", "loopback"),
        ("[]", "must hold a mapping"),
    ],
)
def test_serve_refuses_a_wrong_file(cli, tmp_path, text, said):
    path = tmp_path / "serve.yaml"
    path.write_text(text)
    done = cli("serve", "--config", path)
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--data": "nowhere"}, "no dataset nowhere"),
        ({"--property": "gap"}, "no labels of gap"),
        ({"--base": "./nowhere"}, "no base model at"),
    ],
)
def test_adapter_train_refuses_before_ray_starts(cli, tmp_path, monkeypatch, change, said):
    import serve.cluster

    started = []
    monkeypatch.setattr(serve.cluster, "ensure_ray", lambda *_: started.append(1))
    options = {"--data": "xtb-mos2-4x4", "--base": "small", "--property": "homo_lumo_gap",
               "--out": tmp_path / "out", **change}  # fmt: skip
    done = cli("adapter", "train", *(word for pair in options.items() for word in pair))
    assert done.code == 1
    assert said in done.err
    assert started == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rank", 0], "--rank: must be at least 1, not 0"),
        (["--quantization", "4bit"], "--quantization: 4bit needs a CUDA GPU"),
        (["--sharding", "zero"], "zero"),
        (["--preset", "quickstrat"], "did you mean 'quickstart'"),
    ],
)
def test_adapter_train_refuses_settings_as_a_campaign_file_does(cli, tmp_path, words, said):
    done = cli("adapter", "train", "--data", "nowhere", "--base", "small", "--property",
               "homo_lumo_gap", "--out", tmp_path / "out", *words)  # fmt: skip
    assert done.code == 2
    assert said in done.err


def test_adapter_train_hands_preset_and_options_to_the_training(cli, tmp_path, monkeypatch):
    given = []

    def train(spec, resources, on_progress):
        given.append((spec, resources))
        raise ModelError("enough seen")

    monkeypatch.setattr("serve.cluster.ensure_ray", lambda *_: True)
    monkeypatch.setattr("training.lora.train_adapter", train)
    done = cli(
        "adapter", "train", "--data", "xtb-mos2-4x4", "--out", tmp_path / "out", "--preset",
        "quickstart", "--max-minutes", 0.5, "--micro-tokens", 512, "--length-pool", 2, "--bf16",
        "--gradient-checkpointing", "--schedule", "linear", "--workers", 2, "--cpus", 0.5,
        "--sharding", "fsdp", "--storage", tmp_path / "runs", "--seed", 3, "--max-length", 99,
        "--target-module", "q_proj", "--target-module", "v_proj", "--checkpoint-seconds", 5,
        "--max-failures", 9,
    )  # fmt: skip
    assert "enough seen" in done.err
    [(spec, resources)] = given
    h = spec.hyperparameters
    assert (h.max_seconds, h.micro_tokens, h.length_pool, h.schedule) == (30, 512, 2, "linear")
    assert (h.bf16, h.gradient_checkpointing) == (True, True)
    assert (h.learning_rate, h.epochs) == (2e-3, 200)  # the preset's
    assert resources == Resources(
        workers=2, cpus=0.5, sharding="fsdp", storage=str(tmp_path / "runs"),
        checkpoint_seconds=5, max_failures=9,
    )  # fmt: skip
    assert (h.max_length, h.target_modules) == (99, ("q_proj", "v_proj"))
    assert spec.seed == 3
    assert spec.facts["properties"] == ["homo_lumo_gap", "formation_energy_per_site"]
