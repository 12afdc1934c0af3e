"""DistilBERT (Sanh et al. 2019): no token types, no pooler, names of its own."""

from cofi_cli.architectures.adapter import Adapter, Head, Rename
from cofi_cli.architectures.bert import plain_heads

_EMBEDDINGS, _OUR_EMBEDDINGS = "distilbert.embeddings.", "model.encoder.embeddings."
_LAYER, _OUR_LAYER = "distilbert.transformer.layer.{}.", "model.encoder.layers.{}."

DISTILBERT = Adapter(
    model_type="distilbert",
    prefix="distilbert.",
    config={
        "vocab_size": "vocab_size",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "classifier_dropout": "seq_classif_dropout",
        "max_position_embeddings": "max_position_embeddings",
        "pad_token_id": "pad_token_id",
    },
    shape=("dim", "n_layers", "n_heads", "hidden_dim"),
    always={"type_vocab_size": 0, "layer_norm_eps": 1e-12},
    renames=(
        Rename(_EMBEDDINGS + "word_embeddings", _OUR_EMBEDDINGS + "word"),
        Rename(_EMBEDDINGS + "position_embeddings", _OUR_EMBEDDINGS + "position"),
        Rename(_EMBEDDINGS + "LayerNorm", _OUR_EMBEDDINGS + "norm"),
        Rename(_LAYER + "attention.q_lin", _OUR_LAYER + "attention.query"),
        Rename(_LAYER + "attention.k_lin", _OUR_LAYER + "attention.key"),
        Rename(_LAYER + "attention.v_lin", _OUR_LAYER + "attention.value"),
        Rename(_LAYER + "attention.out_lin", _OUR_LAYER + "attention.output"),
        Rename(_LAYER + "sa_layer_norm", _OUR_LAYER + "attention.norm"),
        Rename(_LAYER + "ffn.lin1", _OUR_LAYER + "ffn.up"),
        Rename(_LAYER + "ffn.lin2", _OUR_LAYER + "ffn.down"),
        Rename(_LAYER + "output_layer_norm", _OUR_LAYER + "ffn.norm"),
    ),
    heads={
        "sequence": Head(
            "DistilBertForSequenceClassification",
            (Rename("pre_classifier", "model.pooler"), Rename("classifier", "classifier")),
            {"pooler_act": "relu"},
        ),
        **plain_heads("DistilBert"),
    },
)
