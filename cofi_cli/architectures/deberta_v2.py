"""DeBERTa-v2 and -v3 (He et al. 2021): BERT, whose scores read distances by content.

The embeddings of distances are one table for all layers, projected by each layer's matrices of
queries and keys. Checkpoints may carry position embeddings that ``position_biased_input``
leaves unread. ``pooler_dropout``, 0 in all that are published, is not applied.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cofi_cli.architectures.adapter import Adapter, Rename
from cofi_cli.architectures.bert import CONFIG, LAYER, encoder_renames, heads
from cofi_cli.errors import CofiError


def _distances(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the configuration says of positions, in our terms."""
    farthest, buckets = theirs["max_relative_positions"], theirs["position_buckets"]
    farthest = farthest if farthest > 0 else theirs["max_position_embeddings"]
    has_buckets = buckets > 0
    if has_buckets and not 1 < buckets < 2 * (farthest - 1):
        raise CofiError(
            f"position_buckets={buckets} does not fit max_relative_positions={farthest}; "
            f"supported are 2 to {2 * farthest - 3}, or -1 for none."
        )
    terms = theirs["pos_att_type"] or ()
    terms = terms.lower().split("|") if isinstance(terms, str) else terms
    norms = [norm.strip() for norm in theirs["norm_rel_ebd"].lower().split("|")]
    return {
        "disentangled": [term.strip() for term in terms if term.strip() in ("c2p", "p2c")],
        "distance_span": buckets if has_buckets else farthest,
        "distance_farthest": farthest if has_buckets else None,
        "distance_norm": "layer_norm" in norms,
        "position": "learned" if theirs["position_biased_input"] else "none",
        **_projection(theirs),
    }


def _projection(theirs: Mapping[str, Any]) -> dict[str, Any]:
    width = theirs.get("embedding_size", theirs["hidden_size"])
    is_narrow = width != theirs["hidden_size"]
    return {"embedding_size": width if is_narrow else None, "project_first": is_narrow}


_HEADS = heads("DebertaV2", "pooler.dense")
_PROJECTED = ("attention.query", "attention.key", "attention.value")
_LAYER = LAYER | {ours: f"{LAYER[ours]}_proj" for ours in _PROJECTED}

DEBERTA_V2 = Adapter(
    model_type="deberta-v2",
    prefix="deberta.",
    heads=_HEADS
    | {
        "token": replace(_HEADS["token"], config={"classifier_dropout": None}),
        "span": replace(_HEADS["span"], config={"classifier_dropout": 0.0}),
    },
    config=CONFIG | {"classifier_dropout": "cls_dropout", "pooler_act": "pooler_hidden_act"},
    defaults={
        "vocab_size": 128100,
        "hidden_size": 1536,
        "num_hidden_layers": 24,
        "num_attention_heads": 24,
        "intermediate_size": 6144,
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
        "pooler_hidden_act": "gelu",
        "relative_attention": False,
        "share_att_key": False,
        "pos_att_type": None,
        "max_relative_positions": -1,
        "position_buckets": -1,
        "position_biased_input": True,
        "norm_rel_ebd": "none",
    },
    fixed={"relative_attention": True, "share_att_key": True, "conv_kernel_size": 0},
    derive=_distances,
    renames=(
        *encoder_renames("deberta.", _LAYER),
        Rename("deberta.embeddings.embed_proj", "model.encoder.embeddings.widen"),
        Rename("deberta.encoder.rel_embeddings", "model.encoder.distances.table"),
        Rename("deberta.encoder.LayerNorm", "model.encoder.distances.norm"),
    ),
)
