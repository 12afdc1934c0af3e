"""An embedder in PyTorch as sentence-transformers runs it: encoder, pooling, dense layer."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from cofi_cli.architectures import read_embedder
from cofi_cli.modeling.modeling_cofi import mean_state


class TorchEmbedder(nn.Module):
    """A model of transformers' ``AutoModel``, and what its folder says comes after it.

    Args:
        encoder: gives ``last_hidden_state``.
        folder: a sentence-transformers folder.
    """

    def __init__(self, encoder: Any, folder: str) -> None:
        super().__init__()
        found = read_embedder(folder)
        assert found is not None
        self.encoder, self.config = encoder, encoder.config
        self.pooling, self.normalize, self.act = found.pooling, found.normalize, ACT2FN[found.act]
        self.weight = None if found.weight is None else nn.Parameter(found.weight)
        self.bias = None if found.bias is None else nn.Parameter(found.bias)
        self.takes = frozenset(inspect.signature(encoder.forward).parameters)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Take (B, T) each; return ``sentence_embedding``, (B, e)."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None and "token_type_ids" in self.takes:
            given["token_type_ids"] = token_type_ids
        last: Tensor = self.encoder(**given).last_hidden_state
        x = last[:, 0] if self.pooling == "cls" else mean_state(last, attention_mask)
        if self.weight is not None:
            x = self.act(F.linear(x, self.weight, self.bias))
        return {"sentence_embedding": F.normalize(x, dim=-1) if self.normalize else x}
