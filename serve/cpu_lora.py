"""LoRA on the CPU that keeps requests apart, and is faster.

vLLM 0.29's CPU kernels look weights up by each row's adapter index and mark "no adapter" with -1,
which PyTorch's indexing takes for the *last* slot: in a batch that mixes requests with and without
an adapter, those without silently get the last slot's adapter. They also copy one weight matrix
per row. Here rows are grouped by adapter, rows without one are left alone, and each group is one
matrix product.

Imported in the engine core's process only.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from vllm.platforms import current_platform

Groups = list[tuple[int, torch.Tensor | None]]
"""(slot of the adapter, its rows); rows None means all rows."""


def install() -> None:
    """Make vLLM use `GroupedPunicaWrapper` in this process."""
    path = f"{__name__}.{GroupedPunicaWrapper.__name__}"
    type(current_platform).get_punica_wrapper = classmethod(lambda cls: path)


def group_rows(slots: torch.Tensor) -> Groups:
    """Group rows by adapter slot, shape (rows,); negative slots (no adapter) are left out."""
    present = slots.unique().tolist()
    if len(present) == 1:
        return [(present[0], None)] if present[0] >= 0 else []
    return [(slot, (slots == slot).nonzero().squeeze(1)) for slot in present if slot >= 0]


class GroupedPunicaWrapper(PunicaWrapperCPU):
    """`PunicaWrapperCPU` with one matrix product per adapter in the batch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._token_groups: Groups = []
        self._sample_groups: Groups = []

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        super().update_metadata(*args, **kwargs)
        self._token_groups = group_rows(self.token_lora_indices)
        self._sample_groups = group_rows(self.sampler_indices)

    def _apply_shrink(
        self, y: torch.Tensor, x: torch.Tensor, w_t_all: torch.Tensor, scale: float
    ) -> None:
        shrink(y.view(-1, y.shape[-1]), x, w_t_all, self._token_groups, scale)

    def _apply_expand(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        w_t_all: torch.Tensor,
        y_offset: int,
        y_slice_size: int,
        add_inputs: bool = True,
    ) -> None:
        target = y[:, y_offset : y_offset + y_slice_size]
        expand(target, x, w_t_all, self._token_groups, add_inputs)

    def add_lora_embedding(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        add_inputs: bool = True,
        **kwargs: Any,
    ) -> None:
        expand(y, x, lora_b_stacked, self._token_groups, add_inputs)

    def add_lora_logits(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        scale: float,
        *,
        buffer: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        if not self._sample_groups:
            return
        x = x.view(-1, x.shape[-1])
        if buffer is None:
            buffer = torch.zeros((x.size(0), lora_b_stacked.size(-1)), dtype=torch.float32)
        shrink(buffer, x, lora_a_stacked, self._sample_groups, scale)
        expand(y.view(-1, y.shape[-1]), buffer, lora_b_stacked, self._sample_groups, True)


def shrink(
    y: torch.Tensor, x: torch.Tensor, weights: torch.Tensor, groups: Groups, scale: float
) -> None:
    """``y[rows] = scale * x[rows] @ weights[slot].T``; `y` is zero where no adapter applies.

    Shapes: y (rows, rank) float32, x (rows, inputs), weights (slots, 1, rank, inputs).
    """
    for slot, rows in groups:
        weight = weights[slot].reshape(-1, weights.shape[-1]).to(y.dtype)
        out = scale * (x if rows is None else x[rows]).to(y.dtype) @ weight.T
        if rows is None:
            y[:, : out.shape[1]] = out
        else:
            y[rows, : out.shape[1]] = out


def expand(
    y: torch.Tensor, x: torch.Tensor, weights: torch.Tensor, groups: Groups, add_inputs: bool
) -> None:
    """``y[rows] += x[rows] @ weights[slot].T``.

    Shapes: y (rows, outputs), x (rows, rank) float32, weights (slots, 1, outputs, rank). Adapter
    and model may pad their outputs differently: the common part counts.
    """
    if not add_inputs:
        y.zero_()
    for slot, rows in groups:
        weight = weights[slot].reshape(-1, weights.shape[-1]).to(y.dtype)
        out = (x if rows is None else x[rows]).to(y.dtype) @ weight.T
        width = min(out.shape[1], y.shape[1])
        if rows is None:
            y[:, :width] += out[:, :width]
        else:
            y[:, :width].index_add_(0, rows, out[:, :width])
