"""Build the compact model: narrower tensors, gates folded where they act."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor

from cofi_cli.modeling import CofiConfig, CofiForTask
from cofi_cli.pruning.plan import PrunePlan


def compact_config(config: CofiConfig, plan: PrunePlan) -> CofiConfig:
    """Return the configuration of the compact model."""
    compact = copy.deepcopy(config)
    compact.hidden_size = len(plan.hidden)
    compact.layer_heads = [len(heads) for heads in plan.heads]
    compact.layer_ffn = [len(dims) for dims in plan.ffn]
    return compact


Model = TypeVar("Model", bound=CofiForTask)


@torch.no_grad()
def compact(model: Model, plan: PrunePlan) -> Model:
    """Return a compact copy that computes what ``model`` computes under the plan's masks.

    Head and attention gates go into the output projection, FFN gates into the
    second FFN matrix, layer gates into those and their biases, hidden gates into
    LayerNorm's γ and β. A removed sub-layer leaves nothing.

    Args:
        model: dense, (d, L, H, I) as the plan's shape.
        plan: kept units and the values to fold.
    """
    masks = plan.masks()
    small = type(model)(compact_config(model.config, plan))
    state = {k: v.detach().cpu() for k, v in model.state_dict().items()}
    hidden = torch.tensor(plan.hidden)
    gate = masks.hidden[hidden]
    new = {k: v for k, v in state.items() if ".layers." not in k}

    def norm(prefix: str) -> None:
        for part in ("weight", "bias"):
            new[f"{prefix}.{part}"] = state[f"{prefix}.{part}"][hidden] * gate

    embeddings = "model.encoder.embeddings"
    if model.config.embedding_size is None:
        for part in ("word", "position", "token_type"):
            if (key := f"{embeddings}.{part}.weight") in state:
                new[key] = state[key][:, hidden]
        norm(f"{embeddings}.norm")
    else:
        key = f"{embeddings}.projection"
        new[f"{key}.weight"] = state[f"{key}.weight"][hidden] * gate[:, None]
        new[f"{key}.bias"] = state[f"{key}.bias"][hidden] * gate
    new[f"{model.reader}.weight"] = state[f"{model.reader}.weight"][:, hidden]

    for i, (heads, dims) in enumerate(zip(plan.heads, plan.ffn)):
        prefix = f"model.encoder.layers.{i}"
        if heads:
            rows = _head_rows(heads, model.config.head_dim)
            own = masks.attention[i]
            for part in ("query", "key", "value"):
                key = f"{prefix}.attention.{part}"
                new[f"{key}.weight"] = state[f"{key}.weight"][rows][:, hidden]
                new[f"{key}.bias"] = state[f"{key}.bias"][rows]
            scale = masks.head[i, heads].repeat_interleave(model.config.head_dim) * own
            key = f"{prefix}.attention.output"
            new[f"{key}.weight"] = state[f"{key}.weight"][hidden][:, rows] * scale
            new[f"{key}.bias"] = state[f"{key}.bias"][hidden] * own
            norm(f"{prefix}.attention.norm")
        if dims:
            index, own = torch.tensor(dims), masks.ffn[i]
            new[f"{prefix}.ffn.up.weight"] = state[f"{prefix}.ffn.up.weight"][index][:, hidden]
            new[f"{prefix}.ffn.up.bias"] = state[f"{prefix}.ffn.up.bias"][index]
            scale = masks.ffn_dim[i, dims] * own
            down = state[f"{prefix}.ffn.down.weight"][hidden][:, index]
            new[f"{prefix}.ffn.down.weight"] = down * scale
            new[f"{prefix}.ffn.down.bias"] = state[f"{prefix}.ffn.down.bias"][hidden] * own
            norm(f"{prefix}.ffn.norm")
    small.load_state_dict({k: v.clone().contiguous() for k, v in new.items()})
    small.train(model.training)
    return small.to(next(model.parameters()).device)


def _head_rows(heads: list[int], head_dim: int) -> Tensor:
    return (torch.tensor(heads)[:, None] * head_dim + torch.arange(head_dim)).flatten()
