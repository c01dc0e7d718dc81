"""The loss: cross entropy on answer tokens, computed only where there is one."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# Architectures whose logits are the output layer applied to the last hidden state and nothing else.
_PLAIN_HEAD = frozenset({"llama", "mistral", "qwen2", "qwen3", "gpt_neox", "phi3"})


class AnswerLoss(nn.Module):
    """Weighted sum of the token losses of a batch.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
        Trained through this module, so that a data-parallel wrapper around it sees the forward
        pass.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

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
            hidden = base.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
            logits = base.get_output_embeddings()(hidden[answer])
        else:
            logits = base(input_ids=ids, use_cache=False).logits[:, :-1][answer]
        return functional.cross_entropy(logits.float(), target[answer], reduction="none"), answer
