"""RoBERTa (Liu et al. 2019), XLM-R (Conneau et al. 2020) and CamemBERT (Martin et al. 2020)."""

from cofi_cli.architectures.adapter import Adapter
from cofi_cli.architectures.bert import CONFIG, FIXED, dense_then_projection, encoder_renames


def _adapter(model_type: str, family: str) -> Adapter:
    """Return the adapter of one of three models that differ in vocabulary and class names."""
    return Adapter(
        model_type=model_type,
        prefix="roberta.",
        config=CONFIG,
        positions_after_padding=True,
        fixed=FIXED,
        renames=encoder_renames("roberta."),
        heads=dense_then_projection(family, act="tanh"),
    )


ROBERTA = _adapter("roberta", "Roberta")
XLM_ROBERTA = _adapter("xlm-roberta", "XLMRoberta")
CAMEMBERT = _adapter("camembert", "Camembert")
