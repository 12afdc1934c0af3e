"""ERNIE (Sun et al. 2019): BERT; since 2.0 a model may add an embedding of its task.

We have none, so a model that does is refused.
"""

from cofi_cli.architectures.adapter import Adapter, Head, Rename
from cofi_cli.architectures.bert import CONFIG, EMBEDDING, FIXED, encoder_renames

ERNIE = Adapter(
    model_type="ernie",
    prefix="ernie.",
    heads={
        "sequence": Head(
            "ErnieForSequenceClassification",
            (Rename("ernie.pooler.dense", "model.pooler"), Rename("classifier", "classifier")),
        ),
        "token": Head("ErnieForTokenClassification", (Rename("classifier", "classifier"),)),
        "span": Head("ErnieForQuestionAnswering", (Rename("qa_outputs", "classifier"),)),
        "embedding": Head("ErnieModel", (), EMBEDDING),
    },
    config=CONFIG,
    fixed=FIXED | {"use_task_id": False},
    renames=encoder_renames("ernie."),
)
