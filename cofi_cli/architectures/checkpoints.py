"""Load a checkpoint as a dense model of ours, and write one back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from cofi_cli.architectures.adapter import Adapter
from cofi_cli.architectures.bert import BERT
from cofi_cli.architectures.compact import HEAD, load_compact
from cofi_cli.architectures.cross_encoder import activation_config, activation_of, kept_activation
from cofi_cli.architectures.deberta_v2 import DEBERTA_V2
from cofi_cli.architectures.distilbert import DISTILBERT
from cofi_cli.architectures.electra import ELECTRA
from cofi_cli.architectures.embedders import Embedder, copy_modules, is_embedder, read_embedder
from cofi_cli.architectures.ernie import ERNIE
from cofi_cli.architectures.hub import load_config_dict, resolve
from cofi_cli.architectures.megatron_bert import MEGATRON_BERT
from cofi_cli.architectures.modernbert import MODERNBERT
from cofi_cli.architectures.mpnet import MPNET
from cofi_cli.architectures.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from cofi_cli.architectures.weights import load_weights, weight_shapes
from cofi_cli.errors import UNREACHABLE, CofiError, reading
from cofi_cli.modeling import HEADS, CofiConfig, CofiForTask

ADAPTERS: Mapping[str, Adapter] = {
    own.model_type: own
    for own in (
        BERT,
        CAMEMBERT,
        DEBERTA_V2,
        DISTILBERT,
        ELECTRA,
        ERNIE,
        MEGATRON_BERT,
        MODERNBERT,
        MPNET,
        ROBERTA,
        XLM_ROBERTA,
    )
}
MARK = "cofi_head"
"""Key of config.json: which head a dense bare encoder of ours is meant for."""


def is_compact(model: str) -> bool:
    """Whether a model was pruned, by its configuration."""
    return bool(load_config_dict(resolve(model))["model_type"] == CofiConfig.model_type)


def adapter_for(name: str, config: Mapping[str, Any]) -> Adapter:
    """Return the adapter of a checkpoint's configuration.

    Raises:
        CofiError: the architecture, or a variant of it, is not supported.
    """
    model_type = config["model_type"]
    if model_type not in ADAPTERS:
        raise CofiError(
            f"'{name}' is a '{model_type}' model, which is not supported. "
            f"Supported architectures: {', '.join(sorted(ADAPTERS))}.",
        )
    adapter = ADAPTERS[model_type]
    if refused := adapter.unsupported(config):
        raise CofiError(f"'{name}' has {refused}.")
    return adapter


def load_dense(
    name: str,
    *,
    num_labels: int,
    head: str = "sequence",
    labels: tuple[str, ...] = (),
    problem_type: str | None = None,
) -> CofiForTask:
    """Load a folder or hub id: a Hugging Face checkpoint or a compact model of ours.

    A head is kept when it is of this kind and has ``num_labels`` rows, whatever its outputs were
    called; otherwise a new one is initialised from torch's global random state.

    Args:
        name: the folder or hub id.
        num_labels: outputs of the head.
        head: kind of head, one of :data:`cofi_cli.modeling.HEADS`.
        labels: names of the outputs.
        problem_type: as transformers' configurations have it.

    Raises:
        CofiError: not reachable, not supported or not complete, or a compact model with
            another kind of head that cannot take a new one.
    """
    with reading(f"The model '{name}'"):
        return _load_dense(name, num_labels, head, labels, problem_type)


def _load_dense(
    name: str, num_labels: int, head: str, labels: tuple[str, ...], problem_type: str | None
) -> CofiForTask:
    source = resolve(name)
    theirs = load_config_dict(source)
    if theirs["model_type"] == CofiConfig.model_type:
        kind, own = head_kind(theirs), {"problem_type": problem_type, **_label_maps(labels)}
        if kind is not None and (kind == head or HEADS[kind].is_general):
            stored = ADAPTERS[theirs["source_model_type"]].head(head).config if kind != head else {}
            return load_compact(source, kind, head, num_labels, stored=stored, **own)
        raise CofiError(
            f"'{name}' is a compact model with a {kind} head; this task needs a {head} head.",
            hint="Prune a dense model for this task: cofi prune MODEL --task TASK",
        )
    adapter = adapter_for(name, theirs)
    embedder = read_embedder(name) if head == "embedding" else None
    own = activation_config(activation_of(name)) if (head, num_labels) == ("sequence", 1) else {}
    own |= {"num_labels": num_labels, "problem_type": problem_type, **_label_maps(labels)}
    with reading(f"config.json of '{name}'"):
        config = _dense_config(adapter, theirs, head, embedder, **own)
    model = HEADS[head](config)
    found = adapter.to_ours(load_weights(source), head)
    if embedder is not None:
        found |= embedder.tensors
    expected = model.state_dict()
    beyond = next((k for k in found if k not in expected and ".layers." in k), None)
    if beyond is not None:
        raise CofiError(
            f"'{name}' holds {beyond}, which its config.json does not describe.",
            hint="Does that config.json belong to these weights?",
        )
    # Some checkpoints carry embeddings that their configuration leaves unread.
    found = {k: v for k, v in found.items() if k in expected}
    if not _fits(found, theirs, head=head, num_labels=num_labels):
        found = {k: v for k, v in found.items() if not k.startswith("classifier.")}
    missing = [k for k in expected if k not in found and not k.startswith(HEAD)]
    if missing:
        raise CofiError(
            f"'{name}' lacks {len(missing)} of the encoder's tensors, the first: {missing[0]}.",
            hint=f"Is it a complete {adapter.model_type} checkpoint?",
        )
    for key, tensor in found.items():
        if expected[key].shape != tensor.shape:
            raise CofiError(
                f"'{name}': {key} has shape {tuple(tensor.shape)}, "
                f"its config.json says {tuple(expected[key].shape)}."
            )
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            holds = "NaN or infinite values" if tensor.is_floating_point() else str(tensor.dtype)
            raise CofiError(
                f"'{name}': {key} holds {holds}, which cannot be a weight.",
                hint="Copy or download the weights again.",
                exit_code=UNREACHABLE,
            )
    model.load_state_dict(found, strict=False)
    return model


def read_config(name: str, head: str) -> CofiConfig:
    """Return the configuration that a checkpoint has as a model of ours with this kind of head."""
    source = resolve(name)
    theirs = load_config_dict(source)
    embedder = read_embedder(name) if head == "embedding" else None
    with reading(f"config.json of '{name}'"):
        if theirs["model_type"] == CofiConfig.model_type:
            return CofiConfig(**theirs)
        return _dense_config(adapter_for(name, theirs), theirs, head, embedder)


def _dense_config(
    adapter: Adapter, theirs: Mapping[str, Any], head: str, embedder: Embedder | None, **own: Any
) -> CofiConfig:
    read = embedder.config if embedder is not None else {}
    return CofiConfig(**(adapter.config_to_ours(theirs, head) | read), **own)


def dense_config(name: str) -> CofiConfig:
    """Return the dense shape of a checkpoint, from its configuration alone.

    Raises:
        CofiError: not reachable, not supported, not as it should be, or compact already.
    """
    theirs = load_config_dict(resolve(name))
    if theirs["model_type"] == CofiConfig.model_type:
        raise CofiError(
            f"'{name}' is a compact model; pruning starts from a dense one.",
            hint=f"To train it further: cofi finetune {name} --task TASK",
        )
    return read_config(name, "sequence")


def head_kind(config: Mapping[str, Any]) -> str | None:
    """Return the kind of head that a checkpoint's configuration names, if it is one of ours.

    Of kinds that a bare class stores it is the marked one, else the first: a class cannot tell.
    """
    own = config.get("architectures")
    names = set(map(str, own)) if isinstance(own, list | tuple) else set()
    if config["model_type"] == CofiConfig.model_type:
        return next((kind for kind, own in HEADS.items() if own.__name__ in names), None)
    heads = ADAPTERS[config["model_type"]].heads
    found = [kind for kind, head in heads.items() if head.class_name in names]
    marked = config.get(MARK)
    return marked if marked in found else next(iter(found), None)


def has_head(name: str, *, num_labels: int, head: str = "sequence") -> bool:
    """Whether a checkpoint carries a head of this kind with ``num_labels`` outputs.

    A bare encoder is no embedder: only ``modules.json`` says how it is pooled. Every dense
    checkpoint is a general encoder.
    """
    source = resolve(name)
    config = load_config_dict(source)
    is_ours = config["model_type"] == CofiConfig.model_type
    adapter = None if is_ours else adapter_for(name, config)
    if HEADS[head].is_bare:
        is_one = HEADS[head].is_general or is_embedder(source)
        return head_kind(config) == head if adapter is None else is_one
    weights = weight_shapes(source)
    if adapter is not None:
        weights = adapter.to_ours(weights, head)
    return _fits(weights, config, head=head, num_labels=num_labels)


def _fits(
    found: Mapping[str, Any], config: Mapping[str, Any], *, head: str, num_labels: int
) -> bool:
    weight = found.get("classifier.weight")
    rows = HEADS[head].rows or num_labels
    if weight is None or weight.ndim == 0 or weight.shape[0] != rows:
        return False
    return head_kind(config) in (head, None)


def save_dense(model: CofiForTask, folder: Path, *, source: str) -> None:
    """Write a dense model as an ordinary checkpoint of its own architecture.

    Args:
        model: in the dense state.
        folder: made if missing; gets config.json and model.safetensors.
        source: the checkpoint that it came from, for the rest of its configuration.
    """
    theirs = load_config_dict(resolve(source))
    adapter = ADAPTERS[model.config.source_model_type]
    # The tensors are fp32, whatever the source's were.
    # What a stranger's configuration says of code to run is not passed on.
    dropped = ("dtype", "torch_dtype", "auto_map", "custom_pipelines", MARK)
    theirs = {key: value for key, value in theirs.items() if key not in dropped}
    config = theirs | {
        "architectures": [adapter.head(model.kind).class_name],
        "id2label": {str(k): v for k, v in model.config.id2label.items()},
        "label2id": dict(model.config.label2id),
        "problem_type": model.config.problem_type,
        **kept_activation(model.config),
        **({MARK: model.kind} if model.is_bare else {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    if model.is_bare:
        state = {k: v for k, v in state.items() if not k.startswith(HEAD)}
    if model.kind == "embedding":
        # The pooler is the source's own modules, which go along as they are.
        copy_modules(source, folder)
    save_file(
        adapter.to_theirs(state, model.kind),
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def _label_maps(labels: tuple[str, ...]) -> dict[str, Any]:
    if not labels:
        return {}
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }


def count_parameters(model: torch.nn.Module) -> int:
    """Return the number of weights of a module."""
    return sum(p.numel() for p in model.parameters())
