"""RoBERTa (Liu et al. 2019), and XLM-RoBERTa and CamemBERT, which are the same under other names.

Its classification head is a dense layer of its own over the state of <s>; the checkpoint's
pooler, if it has one, takes no part. Position embeddings begin after the padding id.
"""

from collections.abc import Mapping
from typing import Any

from cofi_cli.architectures.adapter import Adapter
from cofi_cli.architectures.bert import CONFIG, FIXED, SEQUENCE_DENSE, encoder_renames, heads


def _positions(theirs: Mapping[str, Any]) -> dict[str, Any]:
    return {"position_offset": theirs["pad_token_id"] + 1}


def _adapter(model_type: str, name: str) -> Adapter:
    """Return the adapter of a model type whose classes start with ``name``."""
    return Adapter(
        model_type=model_type,
        prefix="roberta.",
        heads=heads(name, "roberta.pooler.dense", sequence=SEQUENCE_DENSE),
        config=CONFIG,
        fixed=FIXED,
        defaults={"pad_token_id": 1},
        derive=_positions,
        renames=encoder_renames("roberta."),
    )


ROBERTA = _adapter("roberta", "Roberta")
XLM_ROBERTA = _adapter("xlm-roberta", "XLMRoberta")
CAMEMBERT = _adapter("camembert", "Camembert")
