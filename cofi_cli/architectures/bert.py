"""BERT (Devlin et al. 2019), and what its kin have in common with it."""

from collections.abc import Mapping
from typing import Any

from cofi_cli.architectures.adapter import Adapter, Head, Rename, encoder_head

CONFIG = {
    key: key
    for key in (
        "vocab_size",
        "hidden_act",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "max_position_embeddings",
        "type_vocab_size",
        "layer_norm_eps",
        "pad_token_id",
    )
}
"""What BERT and its closest relatives call as we do."""

FIXED = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
EMBEDDING = {"pooling": "mean", "pooler_act": "linear", "normalize": True}
"""What our configuration needs for a sentence embedder."""

_TABLES = {
    "word": "word_embeddings",
    "position": "position_embeddings",
    "token_type": "token_type_embeddings",
    "norm": "LayerNorm",
}
LAYER = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention.norm": "attention.output.LayerNorm",
    "ffn.up": "intermediate.dense",
    "ffn.down": "output.dense",
    "ffn.norm": "output.LayerNorm",
}
"""Our modules of a layer -> BERT's."""


def encoder_renames(
    root: str, layer: Mapping[str, str] = LAYER, *, layers: str = "encoder.layer"
) -> tuple[Rename, ...]:
    """Return the renames of embeddings and layers as BERT's kin have them.

    A module that a model lacks has no tensor on either side, so its rename does nothing.

    Args:
        root: what the names begin with.
        layer: our modules of a layer -> theirs.
        layers: their list of layers.
    """
    return (
        *(
            Rename(f"{root}embeddings.{theirs}", f"model.encoder.embeddings.{ours}")
            for ours, theirs in _TABLES.items()
        ),
        *(
            Rename(f"{root}{layers}.{{}}.{theirs}", f"model.encoder.layers.{{}}.{ours}")
            for ours, theirs in layer.items()
        ),
    )


def heads(
    prefix: str,
    pooler: str,
    *,
    sequence: tuple[str, str] | None = None,
    pooled: Mapping[str, Any] | None = None,
) -> dict[str, Head]:
    """Return the heads whose classes start with ``prefix``, as BERT's kin have them.

    Args:
        prefix: of the classes.
        pooler: its module, below a classifier.
        sequence: pooler and classifier of the sequence head, where they are others.
        pooled: what our configuration needs for a head with a pooler.
    """
    choice, config = (pooler, "classifier"), pooled or {}

    def on_pooler(their_pooler: str, their_classifier: str) -> tuple[Rename, ...]:
        return Rename(their_pooler, "model.pooler"), Rename(their_classifier, "classifier")

    return {
        "sequence": Head(
            f"{prefix}ForSequenceClassification", on_pooler(*(sequence or choice)), config
        ),
        "token": Head(f"{prefix}ForTokenClassification", (Rename("classifier", "classifier"),)),
        "span": Head(f"{prefix}ForQuestionAnswering", (Rename("qa_outputs", "classifier"),)),
        "embedding": Head(f"{prefix}Model", (), EMBEDDING),
        "encoder": encoder_head(f"{prefix}Model"),
        "choice": Head(f"{prefix}ForMultipleChoice", on_pooler(*choice), config),
    }


SEQUENCE_DENSE = ("classifier.dense", "classifier.out_proj")
"""The sequence head of models without a pooler: a dense layer of its own, and the classifier."""

BERT = Adapter(
    model_type="bert",
    prefix="bert.",
    heads=heads("Bert", "bert.pooler.dense"),
    config=CONFIG,
    fixed=FIXED,
    renames=encoder_renames("bert."),
)
