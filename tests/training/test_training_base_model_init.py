"""The first layer starts with heads that look back one to four tokens."""

from __future__ import annotations

from itertools import islice

import pytest

from training.base_model import BaseModelSettings, build_model
from training.corpus import corpus
from training.vocabulary import small_tokenizer


@pytest.mark.parametrize("kv_heads", [None, 2])
def test_first_layers_heads_read_the_tokens_before(kv_heads: int | None) -> None:
    import torch

    tokenizer = small_tokenizer(islice(corpus(1), 50))
    shape = BaseModelSettings(256, 128, 2, 64, kv_heads=kv_heads)
    model = build_model(tokenizer, shape, seed=3).eval()
    model.set_attn_implementation("eager")
    length = 300
    ids = torch.randint(0, len(tokenizer), (1, length), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first, second = model(ids, output_attentions=True).attentions
    for head in range(4):
        # Weight that every position from the fifth on gives to the token head + 1 places before.
        back = torch.diagonal(first[0, head], offset=-(head + 1))[4:]
        assert back.mean() > 0.5, (head, back.mean())
    # Only the first layer is set; in the second, attention starts out spread over the text.
    assert second[0, :, -1].max() < 0.2
