"""Megatron-BERT (Shoeybi et al. 2019): BERT in pre-norm, whose embeddings have no LayerNorm."""

from cofi_cli.architectures.adapter import Adapter, Rename
from cofi_cli.architectures.bert import CONFIG, FIXED, LAYER, encoder_renames, heads

MEGATRON_BERT = Adapter(
    model_type="megatron-bert",
    prefix="bert.",
    heads=heads("MegatronBert", "bert.pooler.dense"),
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
        *encoder_renames("bert.", LAYER | {"attention.norm": "attention.ln", "ffn.norm": "ln"}),
        Rename("bert.encoder.ln", "model.encoder.norm"),
    ),
)
