"""MPNet (Song et al. 2020): BERT without token types, with a bias by distance in all layers.

The table of that bias is one for all layers. Learned position embeddings, which it has as
well, begin after the padding id. The classification head is a dense layer of its own.
"""

from cofi_cli.architectures.adapter import Adapter, Head, Rename, encoder_head
from cofi_cli.architectures.bert import CONFIG, EMBEDDING, FIXED

_THEIRS, _OURS = "mpnet.encoder.layer.{}.", "model.encoder.layers.{}."
_EMBEDDINGS = "mpnet.embeddings."
_BUCKETS = 32
"""transformers' code has it so, whatever the configuration says."""

MPNET = Adapter(
    model_type="mpnet",
    prefix="mpnet.",
    heads={
        "sequence": Head(
            "MPNetForSequenceClassification",
            (
                Rename("classifier.dense", "model.pooler"),
                Rename("classifier.out_proj", "classifier"),
            ),
        ),
        "token": Head("MPNetForTokenClassification", (Rename("classifier", "classifier"),)),
        "span": Head("MPNetForQuestionAnswering", (Rename("qa_outputs", "classifier"),)),
        "embedding": Head("MPNetModel", (), EMBEDDING),
        "encoder": encoder_head("MPNetModel"),
        "choice": Head(
            "MPNetForMultipleChoice",
            (Rename("mpnet.pooler.dense", "model.pooler"), Rename("classifier", "classifier")),
        ),
    },
    config={k: v for k, v in CONFIG.items() if k not in ("type_vocab_size", "pad_token_id")},
    fixed=FIXED | {"relative_attention_num_buckets": _BUCKETS, "pad_token_id": 1},
    own={
        "type_vocab_size": 0,
        "position_offset": 2,
        "pad_token_id": 1,
        "relative_buckets": _BUCKETS,
    },
    renames=(
        Rename(_EMBEDDINGS + "word_embeddings", "model.encoder.embeddings.word"),
        Rename(_EMBEDDINGS + "position_embeddings", "model.encoder.embeddings.position"),
        Rename(_EMBEDDINGS + "LayerNorm", "model.encoder.embeddings.norm"),
        Rename("mpnet.encoder.relative_attention_bias", "model.encoder.positions.table"),
        Rename(_THEIRS + "attention.attn.q", _OURS + "attention.query"),
        Rename(_THEIRS + "attention.attn.k", _OURS + "attention.key"),
        Rename(_THEIRS + "attention.attn.v", _OURS + "attention.value"),
        Rename(_THEIRS + "attention.attn.o", _OURS + "attention.output"),
        Rename(_THEIRS + "attention.LayerNorm", _OURS + "attention.norm"),
        Rename(_THEIRS + "intermediate.dense", _OURS + "ffn.up"),
        Rename(_THEIRS + "output.dense", _OURS + "ffn.down"),
        Rename(_THEIRS + "output.LayerNorm", _OURS + "ffn.norm"),
    ),
)
