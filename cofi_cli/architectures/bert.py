"""BERT (Devlin et al. 2019)."""

from cofi_cli.architectures.adapter import Adapter, Head, Rename

_THEIRS, _OURS = "bert.encoder.layer.{}.", "model.encoder.layers.{}."

BERT = Adapter(
    model_type="bert",
    prefix="bert.",
    heads={
        "sequence": Head(
            "BertForSequenceClassification",
            (Rename("bert.pooler.dense", "model.pooler"), Rename("classifier", "classifier")),
        ),
        "token": Head("BertForTokenClassification", (Rename("classifier", "classifier"),)),
        "span": Head("BertForQuestionAnswering", (Rename("qa_outputs", "classifier"),)),
        "embedding": Head("BertModel", (), {"pooling": "mean", "pooler_act": "linear"}),
    },
    config={
        "vocab_size": "vocab_size",
        "hidden_size": "hidden_size",
        "hidden_act": "hidden_act",
        "hidden_dropout_prob": "hidden_dropout_prob",
        "attention_probs_dropout_prob": "attention_probs_dropout_prob",
        "classifier_dropout": "classifier_dropout",
        "max_position_embeddings": "max_position_embeddings",
        "type_vocab_size": "type_vocab_size",
        "layer_norm_eps": "layer_norm_eps",
        "pad_token_id": "pad_token_id",
    },
    fixed={"position_embedding_type": "absolute", "is_decoder": False},
    renames=(
        Rename("bert.embeddings.word_embeddings", "model.encoder.embeddings.word"),
        Rename("bert.embeddings.position_embeddings", "model.encoder.embeddings.position"),
        Rename(
            "bert.embeddings.token_type_embeddings",
            "model.encoder.embeddings.token_type",
        ),
        Rename("bert.embeddings.LayerNorm", "model.encoder.embeddings.norm"),
        Rename(_THEIRS + "attention.self.query", _OURS + "attention.query"),
        Rename(_THEIRS + "attention.self.key", _OURS + "attention.key"),
        Rename(_THEIRS + "attention.self.value", _OURS + "attention.value"),
        Rename(_THEIRS + "attention.output.dense", _OURS + "attention.output"),
        Rename(_THEIRS + "attention.output.LayerNorm", _OURS + "attention.norm"),
        Rename(_THEIRS + "intermediate.dense", _OURS + "ffn.up"),
        Rename(_THEIRS + "output.dense", _OURS + "ffn.down"),
        Rename(_THEIRS + "output.LayerNorm", _OURS + "ffn.norm"),
    ),
)
