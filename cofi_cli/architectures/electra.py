"""ELECTRA (Clark et al. 2020): BERT, whose embeddings may be narrower than the stream.

Where they are, a projection leads from one to the other. The classification head is a
dense layer with GELU over the state of [CLS]; there is no pooler.
"""

from collections.abc import Mapping
from typing import Any

from cofi_cli.architectures.adapter import Adapter, Rename
from cofi_cli.architectures.bert import CONFIG, FIXED, SEQUENCE_DENSE, encoder_renames, heads


def _projection(theirs: Mapping[str, Any]) -> dict[str, Any]:
    width = theirs["embedding_size"]
    return {"embedding_size": None if width == theirs["hidden_size"] else width}


ELECTRA = Adapter(
    model_type="electra",
    prefix="electra.",
    heads=heads(
        "Electra",
        "sequence_summary.summary",
        sequence=SEQUENCE_DENSE,
        pooled={"pooler_act": "gelu"},
    ),
    config=CONFIG,
    fixed=FIXED,
    defaults={"embedding_size": 128, "hidden_size": 256},
    derive=_projection,
    renames=(
        *encoder_renames("electra."),
        Rename("electra.embeddings_project", "model.encoder.embeddings.project"),
    ),
)
