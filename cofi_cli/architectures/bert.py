"""BERT (Devlin et al. 2019)."""

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


def encoder_renames(root: str, *, projections: str = "") -> tuple[Rename, ...]:
    """Return the renames of embeddings and layers under ``root``, shared by BERT's kin.

    The names of queries, keys and values end in ``projections``.
    """
    theirs, ours = root + "encoder.layer.{}.", "model.encoder.layers.{}."
    return (
        Rename(root + "embeddings.word_embeddings", "model.encoder.embeddings.word"),
        Rename(root + "embeddings.position_embeddings", "model.encoder.embeddings.position"),
        Rename(root + "embeddings.token_type_embeddings", "model.encoder.embeddings.token_type"),
        Rename(root + "embeddings.LayerNorm", "model.encoder.embeddings.norm"),
        Rename(theirs + "attention.self.query" + projections, ours + "attention.query"),
        Rename(theirs + "attention.self.key" + projections, ours + "attention.key"),
        Rename(theirs + "attention.self.value" + projections, ours + "attention.value"),
        Rename(theirs + "attention.output.dense", ours + "attention.output"),
        Rename(theirs + "attention.output.LayerNorm", ours + "attention.norm"),
        Rename(theirs + "intermediate.dense", ours + "ffn.up"),
        Rename(theirs + "output.dense", ours + "ffn.down"),
        Rename(theirs + "output.LayerNorm", ours + "ffn.norm"),
    )


def heads(prefix: str, root: str) -> dict[str, Head]:
    """Return the heads whose classes start with ``prefix``, under ``root``, as BERT has them."""
    pooled = (Rename(root + "pooler.dense", "model.pooler"), Rename("classifier", "classifier"))
    return {
        "sequence": Head(f"{prefix}ForSequenceClassification", pooled),
        "token": Head(f"{prefix}ForTokenClassification", (Rename("classifier", "classifier"),)),
        "span": Head(f"{prefix}ForQuestionAnswering", (Rename("qa_outputs", "classifier"),)),
        "embedding": Head(f"{prefix}Model", (), EMBEDDING),
        "encoder": encoder_head(f"{prefix}Model"),
        "choice": Head(f"{prefix}ForMultipleChoice", pooled),
    }


BERT = Adapter(
    model_type="bert",
    prefix="bert.",
    heads=heads("Bert", "bert."),
    config=CONFIG,
    fixed=FIXED,
    renames=encoder_renames("bert."),
)
