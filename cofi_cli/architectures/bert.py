"""BERT (Devlin et al. 2019), and the names that its descendants kept."""

from cofi_cli.architectures.adapter import Adapter, Head, Rename

CONFIG = {
    name: name
    for name in (
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
FIXED = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
EMBEDDER = {"pooling": "mean", "pooler_act": "linear", "normalize": True}


def encoder_renames(prefix: str) -> tuple[Rename, ...]:
    """Return the encoder's modules as BERT names them below ``prefix``."""
    embeddings, our_embeddings = f"{prefix}embeddings.", "model.encoder.embeddings."
    layer, our_layer = f"{prefix}encoder.layer.{{}}.", "model.encoder.layers.{}."
    return (
        Rename(embeddings + "word_embeddings", our_embeddings + "word"),
        Rename(embeddings + "position_embeddings", our_embeddings + "position"),
        Rename(embeddings + "token_type_embeddings", our_embeddings + "token_type"),
        Rename(embeddings + "LayerNorm", our_embeddings + "norm"),
        Rename(layer + "attention.self.query", our_layer + "attention.query"),
        Rename(layer + "attention.self.key", our_layer + "attention.key"),
        Rename(layer + "attention.self.value", our_layer + "attention.value"),
        Rename(layer + "attention.output.dense", our_layer + "attention.output"),
        Rename(layer + "attention.output.LayerNorm", our_layer + "attention.norm"),
        Rename(layer + "intermediate.dense", our_layer + "ffn.up"),
        Rename(layer + "output.dense", our_layer + "ffn.down"),
        Rename(layer + "output.LayerNorm", our_layer + "ffn.norm"),
    )


def dense_then_projection(family: str, *, act: str) -> dict[str, Head]:
    """Return the heads of those that classify with a dense layer of the head's own."""
    own = (
        Rename("classifier.dense", "model.pooler"),
        Rename("classifier.out_proj", "classifier"),
    )
    return {
        "sequence": Head(f"{family}ForSequenceClassification", own, {"pooler_act": act}),
        **plain_heads(family),
    }


def plain_heads(family: str) -> dict[str, Head]:
    """Return the heads that are one linear layer over each token, and the bare encoder."""
    return {
        "token": Head(f"{family}ForTokenClassification", (Rename("classifier", "classifier"),)),
        "span": Head(f"{family}ForQuestionAnswering", (Rename("qa_outputs", "classifier"),)),
        "embedding": Head(f"{family}Model", (), EMBEDDER),
    }


BERT = Adapter(
    model_type="bert",
    prefix="bert.",
    config=CONFIG,
    fixed=FIXED,
    renames=encoder_renames("bert."),
    heads={
        "sequence": Head(
            "BertForSequenceClassification",
            (Rename("bert.pooler.dense", "model.pooler"), Rename("classifier", "classifier")),
        ),
        **plain_heads("Bert"),
    },
)
