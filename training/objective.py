"""The loss: cross entropy on answer tokens, computed only where there is one."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# A shorter common beginning is not worth a pass of its own.
_SHORTEST = 16
# Architectures whose logits are the output layer applied to the last hidden state and nothing else.
_PLAIN_HEAD = frozenset({"llama", "mistral", "qwen2", "qwen3", "gpt_neox", "phi3"})


class AnswerLoss(nn.Module):
    """Weighted sum of the token losses of a batch.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
        Trained through this module, so that a data-parallel wrapper around it sees the forward
        pass.
    share_prefix : bool
        Compute what all instructions of a batch begin with (host, rules) once instead of once per
        instruction: the same gradient but for dropout, which then is drawn once for the shared
        part. Not together with recomputed activations, which cannot keep a cache, nor with a
        sharded base.
    """

    def __init__(self, model: nn.Module, *, share_prefix: bool = False) -> None:
        super().__init__()
        self.model, self.share_prefix = model, share_prefix

    def forward(
        self, ids: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Sum over answer tokens of weight times cross entropy.

        Parameters
        ----------
        ids, labels : (b, t) int64
            Labels are negative on prompt and padding, which lies on the right.
        weights : (b,) float
            Weight of each example's tokens.
        """
        losses, answer = self.token_losses(ids, labels)
        return (losses * weights[:, None].expand(answer.shape)[answer]).sum()

    def token_losses(
        self, ids: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross entropy of every answer token, and the mask (b, t - 1) of where they are."""
        target = labels[:, 1:]
        answer = target >= 0
        base = getattr(self.model, "get_base_model", lambda: self.model)()
        if base.config.model_type in _PLAIN_HEAD:
            # A vocabulary of 128,000 on a prompt of 3,500 tokens is 1.8 GB of logits for nothing.
            shared = common_prefix(ids, answer) if self.share_prefix else 0
            hidden = _hidden(base.get_decoder(), ids, shared)[:, :-1]
            logits = base.get_output_embeddings()(hidden[answer[:, shared:]])
        else:
            logits = base(input_ids=ids, use_cache=False).logits[:, :-1][answer]
        return functional.cross_entropy(logits.float(), target[answer], reduction="none"), answer


def common_prefix(ids: torch.Tensor, answer: torch.Tensor) -> int:
    """Tokens that all rows begin with, of the prompts only; 0 where sharing them does not pay.

    Parameters
    ----------
    ids : (b, t) int64
    answer : (b, t - 1) bool
        Where the next token is one of the answer.
    """
    if len(ids) < 2:
        return 0
    same = (ids == ids[:1]).all(dim=0)[:-1] & ~answer.any(dim=0)
    length = int(same.long().cumprod(dim=0).sum())
    return length if length >= _SHORTEST else 0


def _hidden(decoder: nn.Module, ids: torch.Tensor, shared: int) -> torch.Tensor:
    """Last hidden states behind the shared beginning, shape (b, t - shared, width)."""
    if not shared:
        return decoder(input_ids=ids, use_cache=False).last_hidden_state
    from transformers import DynamicCache

    # Keys and values of the beginning stay in the graph: its gradient is the sum over the batch.
    cache = DynamicCache()
    decoder(input_ids=ids[:1, :shared], past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(len(ids))
    return decoder(
        input_ids=ids[:, shared:], past_key_values=cache, use_cache=True
    ).last_hidden_state
