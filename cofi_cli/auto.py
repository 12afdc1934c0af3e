"""``import cofi_cli.auto`` lets transformers' Auto classes open a pruned model.

Without cofi, ``trust_remote_code=True`` does the same by the code in the model's folder.
"""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from cofi_cli import modeling

AutoConfig.register(modeling.CofiConfig.model_type, modeling.CofiConfig, exist_ok=True)
for _automatic, _own in (
    (AutoModel, modeling.CofiModel),
    (AutoModelForSequenceClassification, modeling.CofiForSequenceClassification),
    (AutoModelForTokenClassification, modeling.CofiForTokenClassification),
    (AutoModelForQuestionAnswering, modeling.CofiForQuestionAnswering),
):
    _automatic.register(modeling.CofiConfig, _own, exist_ok=True)
