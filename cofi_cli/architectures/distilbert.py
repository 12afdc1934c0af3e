"""DistilBERT (Sanh et al. 2019): BERT without token types and pooler, under names of its own."""

from cofi_cli.architectures.adapter import Adapter, Head, Rename, encoder_head
from cofi_cli.architectures.bert import EMBEDDING

_THEIRS, _OURS = "distilbert.transformer.layer.{}.", "model.encoder.layers.{}."
_EMBEDDINGS = "distilbert.embeddings."

DISTILBERT = Adapter(
    model_type="distilbert",
    prefix="distilbert.",
    heads={
        "sequence": Head(
            "DistilBertForSequenceClassification",
            (Rename("pre_classifier", "model.pooler"), Rename("classifier", "classifier")),
            {"pooler_act": "relu"},
        ),
        "token": Head("DistilBertForTokenClassification", (Rename("classifier", "classifier"),)),
        "span": Head("DistilBertForQuestionAnswering", (Rename("qa_outputs", "classifier"),)),
        "embedding": Head("DistilBertModel", (), EMBEDDING),
        "encoder": encoder_head("DistilBertModel"),
        "choice": Head(
            "DistilBertForMultipleChoice",
            (Rename("pre_classifier", "model.pooler"), Rename("classifier", "classifier")),
            {"pooler_act": "relu"},
        ),
    },
    config={
        "vocab_size": "vocab_size",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "classifier_dropout": "seq_classif_dropout",
        "max_position_embeddings": "max_position_embeddings",
        "pad_token_id": "pad_token_id",
    },
    own={"type_vocab_size": 0, "layer_norm_eps": 1e-12},
    sizes=("n_layers", "n_heads", "dim", "hidden_dim"),
    renames=(
        Rename(_EMBEDDINGS + "word_embeddings", "model.encoder.embeddings.word"),
        Rename(_EMBEDDINGS + "position_embeddings", "model.encoder.embeddings.position"),
        Rename(_EMBEDDINGS + "LayerNorm", "model.encoder.embeddings.norm"),
        Rename(_THEIRS + "attention.q_lin", _OURS + "attention.query"),
        Rename(_THEIRS + "attention.k_lin", _OURS + "attention.key"),
        Rename(_THEIRS + "attention.v_lin", _OURS + "attention.value"),
        Rename(_THEIRS + "attention.out_lin", _OURS + "attention.output"),
        Rename(_THEIRS + "sa_layer_norm", _OURS + "attention.norm"),
        Rename(_THEIRS + "ffn.lin1", _OURS + "ffn.up"),
        Rename(_THEIRS + "ffn.lin2", _OURS + "ffn.down"),
        Rename(_THEIRS + "output_layer_norm", _OURS + "ffn.norm"),
    ),
)
