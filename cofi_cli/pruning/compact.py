"""Build the compact model: narrower tensors, gates folded where they act."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from cofi_cli.modeling import CofiConfig, CofiForTask, Masks
from cofi_cli.pruning.plan import PrunePlan


def compact_config(config: CofiConfig, plan: PrunePlan) -> CofiConfig:
    """Return the configuration of the compact model."""
    compact = copy.deepcopy(config)
    compact.hidden_size = len(plan.hidden)
    compact.layer_heads = [len(heads) for heads in plan.heads]
    compact.layer_ffn = [len(dims) for dims in plan.ffn]
    if config.relative_buckets:
        compact.relative_heads = max(config.layer_heads)
        compact.layer_head_ids = [list(heads) for heads in plan.heads]
    return compact


Model = TypeVar("Model", bound=CofiForTask)


@torch.no_grad()
def compact(model: Model, plan: PrunePlan) -> Model:
    """Return a compact copy that computes what ``model`` computes under the plan's masks.

    Head and attention gates go into the output projection, FFN gates into the
    second FFN matrix, layer gates into those and their biases, hidden gates into
    LayerNorm's γ and β, into the embeddings' projection where no LayerNorm follows it, and into
    embeddings of distances without LayerNorm. A removed sub-layer leaves nothing.

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

    def put(key: str, change: Callable[[Tensor], Tensor]) -> None:
        if key in state:  # some architectures have no such norm, bias or embedding
            new[key] = change(state[key])

    def norm(prefix: str) -> None:
        for part in ("weight", "bias"):
            put(f"{prefix}.{part}", lambda t: t[hidden] * gate)

    embeddings, distances = "model.encoder.embeddings", "model.encoder.distances"
    if model.config.embedding_size is None:
        for part in ("word", "position", "token_type"):
            put(f"{embeddings}.{part}.weight", lambda t: t[:, hidden])
        norm(f"{embeddings}.norm")
    elif model.config.project_first:
        put(f"{embeddings}.widen.weight", lambda t: t[hidden])
        norm(f"{embeddings}.norm")
    else:
        put(f"{embeddings}.project.weight", lambda t: t[hidden] * gate[:, None])
        put(f"{embeddings}.project.bias", lambda t: t[hidden] * gate)
    reading = 1.0 if model.config.distance_norm else gate
    put(f"{distances}.table.weight", lambda t: t[:, hidden] * reading)
    norm(f"{distances}.norm")
    norm("model.encoder.norm")
    new[f"{model.reader}.weight"] = state[f"{model.reader}.weight"][:, hidden]

    for i, (heads, dims) in enumerate(zip(plan.heads, plan.ffn)):
        prefix = f"model.encoder.layers.{i}"
        if heads:
            _attention(put, f"{prefix}.attention", heads, model.config.head_dim, masks, i)
            norm(f"{prefix}.attention.norm")
        if dims:
            _ffn(put, f"{prefix}.ffn", dims, masks, i)
            norm(f"{prefix}.ffn.norm")
    small.load_state_dict({k: v.clone().contiguous() for k, v in new.items()})
    small.train(model.training)
    return small.to(next(model.parameters()).device)


Put = Callable[[str, Callable[[Tensor], Tensor]], None]
"""Set a new tensor to a function of the old one of that name, where there is one."""


def _attention(
    put: Put, prefix: str, heads: list[int], head_dim: int, masks: Masks, layer: int
) -> None:
    """Narrow an attention sub-layer and fold its gates."""
    rows = (torch.tensor(heads)[:, None] * head_dim + torch.arange(head_dim)).flatten()
    hidden, own = torch.tensor(masks.kept_hidden()), masks.attention[layer]
    for part in ("query", "key", "value"):
        put(f"{prefix}.{part}.weight", lambda t: t[rows][:, hidden])
        put(f"{prefix}.{part}.bias", lambda t: t[rows])
    scale = masks.head[layer, heads].repeat_interleave(head_dim) * own
    put(f"{prefix}.output.weight", lambda t: t[hidden][:, rows] * scale)
    put(f"{prefix}.output.bias", lambda t: t[hidden] * own)


def _ffn(put: Put, prefix: str, dims: list[int], masks: Masks, layer: int) -> None:
    """Narrow an FFN sub-layer and fold its gates; one gate takes a row of both of a gated one's."""
    index, hidden, own = torch.tensor(dims), torch.tensor(masks.kept_hidden()), masks.ffn[layer]
    for part in ("up", "gate"):
        put(f"{prefix}.{part}.weight", lambda t: t[index][:, hidden])
        put(f"{prefix}.{part}.bias", lambda t: t[index])
    scale = masks.ffn_dim[layer, dims] * own
    put(f"{prefix}.down.weight", lambda t: t[hidden][:, index] * scale)
    put(f"{prefix}.down.bias", lambda t: t[hidden] * own)
