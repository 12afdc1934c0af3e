"""MPNet (Song et al. 2020): BERT without token types, with a bias by distance in all layers.

The table of that bias is one for all layers. Learned position embeddings, which it has as
well, begin after the padding id. The classification head is a dense layer of its own.
"""

from cofi_cli.architectures.adapter import Adapter, Rename
from cofi_cli.architectures.bert import (
    CONFIG,
    FIXED,
    LAYER,
    SEQUENCE_DENSE,
    encoder_renames,
    heads,
)

_LAYER = LAYER | {
    "attention.query": "attention.attn.q",
    "attention.key": "attention.attn.k",
    "attention.value": "attention.attn.v",
    "attention.output": "attention.attn.o",
    "attention.norm": "attention.LayerNorm",
}
_BUCKETS = 32
"""transformers' code has it so, whatever the configuration says."""

MPNET = Adapter(
    model_type="mpnet",
    prefix="mpnet.",
    heads=heads("MPNet", "mpnet.pooler.dense", sequence=SEQUENCE_DENSE),
    config={k: v for k, v in CONFIG.items() if k not in ("type_vocab_size", "pad_token_id")},
    fixed=FIXED | {"relative_attention_num_buckets": _BUCKETS, "pad_token_id": 1},
    own={
        "type_vocab_size": 0,
        "position_offset": 2,
        "pad_token_id": 1,
        "relative_buckets": _BUCKETS,
    },
    renames=(
        *encoder_renames("mpnet.", _LAYER),
        Rename("mpnet.encoder.relative_attention_bias", "model.encoder.positions.table"),
    ),
)
