"""Megatron-BERT (Shoeybi et al. 2019): BERT in pre-norm, whose embeddings have no LayerNorm."""

from cofi_cli.architectures.adapter import Adapter, Rename
from cofi_cli.architectures.bert import CONFIG, FIXED, heads

_THEIRS, _OURS = "bert.encoder.layer.{}.", "model.encoder.layers.{}."
_EMBEDDINGS = "bert.embeddings."

MEGATRON_BERT = Adapter(
    model_type="megatron-bert",
    prefix="bert.",
    heads=heads("MegatronBert", "bert."),
    config=CONFIG,
    fixed=FIXED,
    defaults={
        "vocab_size": 29056,
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
    own={"pre_norm": True, "embedding_norm": False},
    renames=(
        Rename(_EMBEDDINGS + "word_embeddings", "model.encoder.embeddings.word"),
        Rename(_EMBEDDINGS + "position_embeddings", "model.encoder.embeddings.position"),
        Rename(_EMBEDDINGS + "token_type_embeddings", "model.encoder.embeddings.token_type"),
        Rename(_THEIRS + "attention.ln", _OURS + "attention.norm"),
        Rename(_THEIRS + "attention.self.query", _OURS + "attention.query"),
        Rename(_THEIRS + "attention.self.key", _OURS + "attention.key"),
        Rename(_THEIRS + "attention.self.value", _OURS + "attention.value"),
        Rename(_THEIRS + "attention.output.dense", _OURS + "attention.output"),
        Rename(_THEIRS + "ln", _OURS + "ffn.norm"),
        Rename(_THEIRS + "intermediate.dense", _OURS + "ffn.up"),
        Rename(_THEIRS + "output.dense", _OURS + "ffn.down"),
        Rename("bert.encoder.ln", "model.encoder.norm"),
    ),
)
