"""A language model of crystal text with a regression head, as the model of one property.

It reads what a generator writes: host and changed sites in the compact format. Text is not
invariant under the host's group, so predictions are means over images that are made from the
canonical placement: the same ones for every equivalent configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from defects.configuration import Configuration
from defects.encodings.sparse import SparseEncoder
from defects.errors import ModelError
from defects.surrogates.encoded import Encoded
from defects.text import compact
from defects.text.augment import anchored

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

CONFIG_FILE, TOKENIZER_FILE, MODEL_FILE = "config.json", "tokenizer.json", "transformer.json"
#: Texts read at a time.
CHUNK = 256
#: Begins the names of the head's parameters among those of the member.
HEAD = "regression_head."


def crystal_text(configuration: Configuration) -> tuple[str, str]:
    """Host and changed sites as the model reads them: header, then the compact answer."""
    host = configuration.host
    size = "x".join(map(str, host.supercell))
    header = f"Host: {host.name}, supercell {size}\nAnswer:\n"
    return header, compact.build_answer(configuration)


def images(configuration: Configuration, n: int) -> list[Configuration]:
    """The canonical placement and n - 1 images of it, with a defect in the first cell each.

    Equal for equivalent configurations, whatever their placement.
    """
    canonical = configuration.canonical()
    found = [canonical]
    group = configuration.host.symmetry
    for number in range(1, n):
        rng = np.random.default_rng(number)
        image = canonical.transform(group[int(rng.integers(len(group)))])
        found.append(anchored(image, rng) if image.n_defects else image)
    return found


class RegressionHead:
    """Two layers on the state of the last token beside the mean over the answer's tokens.

    Parameters
    ----------
    hidden : int
        Width of the language model.
    seed : int
    """

    def __init__(self, hidden: int, seed: int = 0) -> None:
        import torch
        from torch import nn

        # The last layer begins at zero, so the first prediction is the mean. The first is drawn
        # by NumPy: torch's own random state is left alone.
        first, last = nn.Linear(2 * hidden, hidden), nn.Linear(hidden, 1)
        drawn = np.random.default_rng(seed).normal(0, (2 * hidden) ** -0.5, first.weight.shape)
        with torch.no_grad():
            first.weight.copy_(torch.from_numpy(drawn))
            for parameter in (first.bias, last.weight, last.bias):
                parameter.zero_()
        self.module = nn.Sequential(first, nn.GELU(), last)

    def __call__(self, states: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        """One number per text.

        Parameters
        ----------
        states : tensor, shape (b, t, hidden)
        answer : bool tensor, shape (b, t)
            True on the tokens of the answer.
        """
        import torch

        weight = answer.to(states.dtype)
        mean = (states * weight[..., None]).sum(1) / weight.sum(1, keepdim=True).clamp(min=1)
        ends = answer.shape[1] - 1 - answer.flip(1).to(torch.int64).argmax(1)
        last = states[torch.arange(len(states)), ends]
        return self.module(torch.cat([mean, last], dim=1)).squeeze(1)


@dataclass
class TransformerModel:
    """An ensemble of fine-tuned language models, one per fold.

    Attributes
    ----------
    members : list of (PreTrainedModel, RegressionHead)
    tokenizer : tokenizers.Tokenizer
    config : dict
        Configuration of the language model, as transformers writes it.
    n_images : int
        Placements over which a prediction is averaged.
    """

    space: ClassVar[Literal["z", "total"]] = "z"
    ensemble: ClassVar[bool] = True

    members: list[tuple[PreTrainedModel, RegressionHead]]
    tokenizer: Tokenizer
    config: dict[str, Any]
    n_images: int = 4

    def predict(self, batch: Encoded, threads: int = 1) -> np.ndarray:
        """Mean over members and images, shape (n,)."""
        with torch_threads(threads):
            return read_images(self.members, self.tokenizer, batch.configurations, self.n_images)

    def save(self, folder: Path) -> None:
        """Write all members, half precision, into an existing folder."""
        from safetensors.torch import save_file

        for number, (model, head) in enumerate(self.members):
            save_file(state(model, head), folder / f"member{number}.safetensors")
        (folder / CONFIG_FILE).write_text(json.dumps(self.config, sort_keys=True))
        self.tokenizer.save(str(folder / TOKENIZER_FILE))
        data = {"members": len(self.members), "images": self.n_images}
        (folder / MODEL_FILE).write_text(json.dumps(data))

    @classmethod
    def load(cls, folder: Path, encoder: SparseEncoder) -> TransformerModel:
        """Inverse of `save`.

        Raises
        ------
        ModelError
            When a file is missing or damaged, or transformers is not installed.
        """
        try:
            from safetensors import SafetensorError
            from safetensors.torch import load_file
        except ImportError as error:
            raise ModelError(
                "this surrogate needs transformers: pip install 'design-loop[train]'"
            ) from error
        try:
            data = json.loads((folder / MODEL_FILE).read_text())
            config = json.loads((folder / CONFIG_FILE).read_text())
            tokenizer = _tokenizer((folder / TOKENIZER_FILE).read_text())
            members = []
            for number in range(int(data["members"])):
                member = empty_member(config)
                restore(*member, load_file(folder / f"member{number}.safetensors"))
                members.append(member)
            n_images = int(data["images"])
            if not members or n_images < 1:
                raise ValueError(f"{len(members)} members, {n_images} images")
            return cls(members, tokenizer, config, n_images)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            first = (str(error).strip().splitlines() or [""])[0]
            raise ModelError(
                f"{folder} holds no readable transformer: {first} Train the surrogate again."
            ) from error


def _tokenizer(text: str) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{TOKENIZER_FILE} is no tokenizer: {error}") from error


def empty_member(config: dict[str, Any]) -> tuple[PreTrainedModel, RegressionHead]:
    """Language model (without its output layer) and head of a configuration, to be restored."""
    import torch
    from transformers import AutoConfig, AutoModel

    settings = {k: v for k, v in config.items() if k not in ("model_type", "dtype")}
    with torch.random.fork_rng(devices=[]):
        model = AutoModel.from_config(
            AutoConfig.for_model(config["model_type"], **settings), dtype=torch.float32
        )
        head = RegressionHead(model.config.hidden_size)
    return model.eval(), head


def state(model: PreTrainedModel, head: RegressionHead) -> dict[str, torch.Tensor]:
    """Parameters of a member: the language model's in half precision, the head's as they are."""
    import torch

    found = {k: v.detach().to(torch.float16).clone() for k, v in model.state_dict().items()}
    found |= {HEAD + k: v.detach().clone() for k, v in head.module.state_dict().items()}
    return found


def restore(
    model: PreTrainedModel, head: RegressionHead, parameters: dict[str, torch.Tensor]
) -> None:
    """Inverse of `state`.

    Raises
    ------
    RuntimeError
        When names or shapes do not fit.
    """
    own = {k.removeprefix(HEAD): v for k, v in parameters.items() if k.startswith(HEAD)}
    head.module.load_state_dict(own)
    model.load_state_dict({k: v.float() for k, v in parameters.items() if not k.startswith(HEAD)})


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Use n threads of torch inside the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def read_images(
    members: Sequence[tuple[PreTrainedModel, RegressionHead]],
    tokenizer: Tokenizer,
    configurations: Sequence[Configuration],
    n_images: int,
) -> np.ndarray:
    """Mean over members and images of each configuration, shape (n,)."""
    shown = [image for c in configurations for image in images(c, n_images)]
    found = np.mean([read(*member, tokenizer, shown) for member in members], axis=0)
    return found.reshape(len(configurations), n_images).mean(axis=1)


def read(
    model: PreTrainedModel,
    head: RegressionHead,
    tokenizer: Tokenizer,
    shown: Sequence[Configuration],
) -> np.ndarray:
    """What a member says of placements as they are, shape (n,)."""
    import torch

    ids, answer = tokens(tokenizer, shown)
    lengths = answer.shape[1] - answer[:, ::-1].argmax(axis=1)
    # Like lengths together; the order does not matter to the result, only to the padding.
    order = np.argsort(lengths, kind="stable")
    out = np.empty(len(shown))
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), CHUNK):
            rows = order[start : start + CHUNK]
            width = int(lengths[rows].max())
            states = model(
                input_ids=torch.from_numpy(ids[rows, :width]), use_cache=False
            ).last_hidden_state
            out[rows] = head(states, torch.from_numpy(answer[rows, :width])).numpy()
    return out


def tokens(tokenizer: Tokenizer, shown: Sequence[Configuration]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the texts, padded at the end, where a causal model does not look.

    Returns
    -------
    ids : ndarray of int64, shape (n, t)
    answer : ndarray of bool, shape (n, t)
        True on the tokens of the answer (on the last of the header where it is empty).
    """
    if not shown:
        return np.zeros((0, 1), dtype=np.int64), np.zeros((0, 1), dtype=bool)
    texts = [crystal_text(c) for c in shown]
    headers = {header: len(tokenizer.encode(header).ids) for header, _ in texts}
    found = [e.ids for e in tokenizer.encode_batch([header + answer for header, answer in texts])]
    width = max(map(len, found))
    ids = np.zeros((len(found), width), dtype=np.int64)
    answer = np.zeros((len(found), width), dtype=bool)
    for row, (own, (header, _)) in enumerate(zip(found, texts, strict=True)):
        ids[row, : len(own)] = own
        answer[row, min(headers[header], len(own) - 1) : len(own)] = True
    return ids, answer
