"""What Ray Train costs per step, and how fast a step is beside plain transformers + peft.

    OMP_NUM_THREADS=1 python benchmarks/train_overhead.py --steps 40 --rounds 3

All train the same adapter on the same batches, in turns, so that other work on the machine meets
them alike: through Ray Train; by the same steps without Ray; by a loop of transformers and
peft that knows nothing of this project's steps. Compared are seconds per optimizer step, starts
apart; the ratios are of medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from design_loop.adapters import dataset_spec
from training.epochs import epoch_batches
from training.examples import Encoded, encode
from training.spec import AdapterSpec, LoraHyperparameters, Resources


def ray_train(spec: AdapterSpec) -> float:
    """Seconds per step through Ray Train, as the worker counts them."""
    from training.lora import train_adapter

    metrics = train_adapter(spec, Resources(threads=1)).metrics
    return metrics["seconds"] / metrics["steps"]


def without_ray(spec: AdapterSpec) -> float:
    """Seconds per step of the worker's own steps, without Ray around them."""
    import torch

    from training.model import add_lora, base_of, use_bf16
    from training.objective import AnswerLoss
    from training.parallel import Parallel
    from training.steps import Steps

    torch.set_num_threads(1)
    h, cpu = spec.hyperparameters, torch.device("cpu")
    bf16 = use_bf16(h, cpu)
    base, tokenizer = base_of(spec, cpu, bf16=bf16, empty=False)
    objective = AnswerLoss(add_lora(base, spec), share_prefix=True)
    pad = tokenizer.pad_token_id
    steps = Steps(objective, h, Parallel("ddp", cpu), pad_id=pad, bf16=bf16)
    return _timed(spec, tokenizer, lambda batch, done: steps.train(batch, done / h.max_steps))


def plain(spec: AdapterSpec) -> float:
    """Seconds per step of a loop that knows nothing of this project's steps."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from training.examples import collate
    from training.model import linear_names, use_bf16

    torch.set_num_threads(1)
    h = spec.hyperparameters
    tokenizer = AutoTokenizer.from_pretrained(spec.base)
    base = AutoModelForCausalLM.from_pretrained(spec.base, dtype="float32")
    config = LoraConfig(
        r=h.rank,
        lora_alpha=h.alpha,
        lora_dropout=h.dropout,
        target_modules=linear_names(base),
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=h.learning_rate, weight_decay=0.0)
    bf16 = use_bf16(h, torch.device("cpu"))

    def step(batch: list[Encoded], _done: int) -> None:
        arrays = collate(batch, tokenizer.pad_token_id)
        ids, labels = (torch.from_numpy(arrays[k]) for k in ("input_ids", "labels"))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, h.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        float(loss.detach())

    return _timed(spec, tokenizer, step)


def _timed(spec: AdapterSpec, tokenizer: Any, step: Callable[[list[Encoded], int], Any]) -> float:
    """Seconds per step over the batches that a worker makes."""
    h = spec.hyperparameters
    done, epoch, seconds = 0, 0, 0.0
    while done < h.max_steps:
        # Drawing the first epoch is not counted on the other side either.
        began = time.perf_counter()
        seed = int(np.random.SeedSequence([spec.seed, epoch]).generate_state(1)[0])
        encoded = encode(spec.source(epoch, spec.seed), tokenizer)
        batches = epoch_batches(encoded, h.batch_size, seed, h.length_pool)
        seconds += time.perf_counter() - began if epoch else 0.0
        for batch in batches[: h.max_steps - done]:
            began = time.perf_counter()
            step(batch, done)
            seconds += time.perf_counter() - began
            done += 1
        epoch += 1
    return seconds / done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="xtb-mos2-4x4")
    parser.add_argument("--base", default="small")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    from training.lora import ray_running

    found: dict[str, list[float]] = {"ray": [], "without ray": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder, ray_running():
        for number in range(options.rounds):
            h = LoraHyperparameters(learning_rate=2e-3, epochs=1000, max_steps=options.steps)
            out = Path(folder) / str(number)
            spec = dataset_spec(
                options.data, options.base, ["homo_lumo_gap"], "compact", out, h, held_out=0
            )
            found["plain"].append(plain(spec))
            found["without ray"].append(without_ray(spec))
            found["ray"].append(ray_train(spec))
            print({k: round(v[-1], 4) for k, v in found.items()}, flush=True)
    middle = {k: statistics.median(v) for k, v in found.items()}
    over = {k: round(middle["ray"] / v, 3) for k, v in middle.items() if k != "ray"}
    print(f"s/step {middle}; Ray Train over {over}")


if __name__ == "__main__":
    main()
