"""DistilBERT (Sanh et al. 2019): BERT without token types and pooler, under names of its own."""

from cofi_cli.architectures.adapter import Adapter
from cofi_cli.architectures.bert import encoder_renames, heads

_LAYER = {
    "attention.query": "attention.q_lin",
    "attention.key": "attention.k_lin",
    "attention.value": "attention.v_lin",
    "attention.output": "attention.out_lin",
    "attention.norm": "sa_layer_norm",
    "ffn.up": "ffn.lin1",
    "ffn.down": "ffn.lin2",
    "ffn.norm": "output_layer_norm",
}

DISTILBERT = Adapter(
    model_type="distilbert",
    prefix="distilbert.",
    heads=heads("DistilBert", "pre_classifier", pooled={"pooler_act": "relu"}),
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
    renames=encoder_renames("distilbert.", _LAYER, layers="transformer.layer"),
)
