"""ModernBERT (Warner et al. 2024): pre-norm, RoPE, gated FFN, local and global attention."""

from collections.abc import Mapping
from typing import Any

from cofi_cli.architectures.adapter import Adapter, Head, Rename, Stack, encoder_head

_THEIRS, _OURS = "model.layers.{}.", "model.encoder.layers.{}."
_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_THETA = {_GLOBAL: ("global_rope_theta", 160_000.0), _LOCAL: ("local_rope_theta", 10_000.0)}
"""Kind of layer -> its key in configurations up to transformers 4.57, and what it means if absent.

Since then ``rope_parameters`` has a theta for each kind.
"""


def _layers(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return each layer's window and theta; ``local_attention`` counts both sides."""
    every = theirs["global_attn_every_n_layers"]
    kinds = theirs.get("layer_types") or [
        _LOCAL if i % every else _GLOBAL for i in range(theirs["num_hidden_layers"])
    ]
    half = theirs["local_attention"] // 2
    return {
        "layer_thetas": [_theta(theirs, kind) for kind in kinds],
        "layer_windows": [half if kind == _LOCAL else None for kind in kinds],
    }


def _theta(theirs: Mapping[str, Any], kind: str) -> float:
    key, default = _THETA[kind]
    of_kind = (theirs.get("rope_parameters") or {}).get(kind) or {}
    value = of_kind.get("rope_theta", theirs.get(key))
    if value is None and kind == _LOCAL:  # as 4.57 reads it: local layers share the global theta
        value = theirs.get(_THETA[_GLOBAL][0]) if key in theirs else None
    return float(default if value is None else value)


_CLASSIFIER = (
    Rename("head.dense", "model.pooler"),
    Rename("head.norm", "model.pooler_norm"),
    Rename("classifier", "classifier"),
)

MODERNBERT = Adapter(
    model_type="modernbert",
    prefix="model.",
    heads={
        "sequence": Head("ModernBertForSequenceClassification", _CLASSIFIER),
        "token": Head("ModernBertForTokenClassification", _CLASSIFIER, {"pool_tokens": True}),
        "span": Head("ModernBertForQuestionAnswering", _CLASSIFIER, {"pool_tokens": True}),
        "choice": Head("ModernBertForMultipleChoice", _CLASSIFIER),
        "embedding": Head(
            "ModernBertModel",
            (),
            {"pooling": "mean", "pooler_act": "linear", "pooler_norm": False, "pooler_bias": True},
        ),
        "encoder": encoder_head("ModernBertModel"),
    },
    config={
        "vocab_size": "vocab_size",
        "hidden_act": "hidden_activation",
        "hidden_dropout_prob": "mlp_dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "classifier_dropout": "classifier_dropout",
        "max_position_embeddings": "max_position_embeddings",
        "layer_norm_eps": "norm_eps",
        "pad_token_id": "pad_token_id",
        "pooling": "classifier_pooling",
        "pooler_act": "classifier_activation",
        "pooler_bias": "classifier_bias",
        "norm_bias": "norm_bias",
        "attention_bias": "attention_bias",
        "ffn_bias": "mlp_bias",
    },
    defaults={
        "hidden_activation": "gelu",
        "mlp_dropout": 0.0,
        "attention_dropout": 0.0,
        "classifier_dropout": 0.0,
        "norm_eps": 1e-5,
        "pad_token_id": 50283,
        "classifier_pooling": "cls",
        "classifier_activation": "gelu",
        "classifier_bias": False,
        "norm_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "global_attn_every_n_layers": 3,
        "local_attention": 128,
        "max_position_embeddings": 8192,
    },
    fixed={
        "rope_scaling": None,
        f"rope_parameters.{_GLOBAL}.rope_type": "default",
        f"rope_parameters.{_LOCAL}.rope_type": "default",
    },
    own={
        "type_vocab_size": 0,
        "position": "rotary",
        "pre_norm": True,
        "first_norm": False,
        "gated_ffn": True,
        "pooler_norm": True,
    },
    derive=_layers,
    renames=(
        Rename("model.embeddings.tok_embeddings", "model.encoder.embeddings.word"),
        Rename("model.embeddings.norm", "model.encoder.embeddings.norm"),
        Rename(_THEIRS + "attn.Wo", _OURS + "attention.output"),
        Rename(_THEIRS + "attn_norm", _OURS + "attention.norm"),
        Rename(_THEIRS + "mlp.Wo", _OURS + "ffn.down"),
        Rename(_THEIRS + "mlp_norm", _OURS + "ffn.norm"),
        Rename("model.final_norm", "model.encoder.norm"),
    ),
    stacks=(
        Stack(
            _THEIRS + "attn.Wqkv",
            (_OURS + "attention.query", _OURS + "attention.key", _OURS + "attention.value"),
        ),
        Stack(_THEIRS + "mlp.Wi", (_OURS + "ffn.up", _OURS + "ffn.gate")),
    ),
)
