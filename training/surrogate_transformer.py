"""Fine-tunes a pretrained language model of crystal text for the regression of one property.

The base model has read hosts, sites and defects without any label (`training.corpus`). Each epoch
shows every label as another image under the host's group, with a defect in the first cell.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from defects.configuration import Configuration
from defects.errors import ModelError
from defects.surrogates.transformer_model import (
    RegressionHead,
    TransformerModel,
    empty_member,
    read_images,
    restore,
    state,
    tokens,
    torch_threads,
)
from defects.text.augment import anchored, random_member
from training.bundled import SMALL, resolve_base
from training.surrogate_task import FitOptions, FitTask, KindFit, settings_from

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class TransformerSettings:
    """How to fine-tune.

    Attributes
    ----------
    base : str
        ``small``, a folder, or a Hugging Face name of a causal language model.
    epochs : int
    batch_size : int
    learning_rate : float
        Peak; warmed up over the first twentieth, then down a cosine.
    weight_decay : float
    images : int
        Placements over which a prediction is averaged.
    bf16 : bool
        bfloat16 in training; pays where the CPU has it.
    """

    base: str = SMALL
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    images: int = 4
    bf16: bool = True


def load_backbone(base: str) -> tuple[PreTrainedModel, Tokenizer]:
    """A base model without its output layer, and its tokenizer.

    Raises
    ------
    ModelError
        When there is no such model, or transformers is not installed.
    """
    try:
        from training.base_model import load_base

        model, tokenizer = load_base(resolve_base(base))
    except ImportError as error:
        raise ModelError("transformers need: pip install 'design-loop[train]'") from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(f"{base} has no fast tokenizer (tokenizer.json): take another base model")
    backend.no_padding()
    backend.no_truncation()
    return model.base_model, backend


def search_space(trial: Any) -> dict[str, Any]:
    """Hyperparameters of one Optuna trial."""
    return {
        "epochs": trial.suggest_int("epochs", 5, 60, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
    }


def fit_transformer(task: FitTask, options: FitOptions) -> KindFit:
    """Fine-tune one model per fold, on the labels outside it.

    Raises
    ------
    ModelError
        When transformers is not installed or the base model is missing.
    """
    settings = settings_from(TransformerSettings(), options.params)
    base, tokenizer = load_backbone(settings.base)
    configurations = task.batch.configurations
    held_out = np.empty(len(task.folds))
    members = []
    with torch_threads(options.threads):
        for k in range(task.n_folds):
            train, test = np.flatnonzero(task.folds != k), np.flatnonzero(task.folds == k)
            member = finetune(
                base,
                tokenizer,
                [configurations[i] for i in train],
                task.z[k][train],
                settings,
                options.seed + k,
            )
            members.append(member)
            held_out[test] = read_images(
                [member], tokenizer, [configurations[i] for i in test], settings.images
            )
    config = json.loads(base.config.to_json_string(use_diff=False))
    model = TransformerModel(members, tokenizer, config, settings.images)
    return KindFit(model, held_out, {"base": settings.base})


def finetune(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    configurations: Sequence[Configuration],
    z: np.ndarray,
    settings: TransformerSettings,
    seed: int,
) -> tuple[PreTrainedModel, RegressionHead]:
    """Fine-tune a copy of a language model with a new head; the model given stays as it is.

    Parameters
    ----------
    configurations : sequence of Configuration, n
    z : ndarray, shape (n,)
        Standardised targets.

    Returns
    -------
    model, head
        As they will be when saved and loaded: rounded to half precision.

    Raises
    ------
    ModelError
        When the loss is no number: the learning rate is too high.
    """
    import torch

    own, _ = empty_member(model.config.to_dict())
    own.load_state_dict(model.state_dict())
    with torch.random.fork_rng(devices=[]):
        head = RegressionHead(own.config.hidden_size, seed)
    # The model stays in evaluation mode: dropout would draw from torch's own random state, and a
    # model of this size with new images at every epoch needs none.
    parameters = [*own.parameters(), *head.module.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    batches = max(len(z) // settings.batch_size, 1)
    steps = settings.epochs * batches
    warmup = max(steps // 20, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, 0.5 + 0.5 * np.cos(np.pi * step / steps)),
    )
    rng = np.random.default_rng(seed)
    target = torch.from_numpy(z.astype(np.float32))
    for _ in range(settings.epochs):
        shown = [_image(c, rng) for c in configurations]
        ids, answer = (torch.from_numpy(a) for a in tokens(tokenizer, shown))
        for rows in np.array_split(rng.permutation(len(z)), batches):
            width = int(answer[rows].any(0).nonzero().max()) + 1
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
                states = own(input_ids=ids[rows, :width], use_cache=False).last_hidden_state
            found = head(states.float(), answer[rows, :width])
            loss = (found - target[rows]).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
        if not torch.isfinite(loss):
            raise ModelError("the loss of the transformer is no number: lower the learning rate")
    restore(own, head, state(own, head))
    return own.eval(), head


def _image(configuration: Configuration, rng: np.random.Generator) -> Configuration:
    image = random_member(configuration, rng)
    return anchored(image, rng) if image.n_defects else image
