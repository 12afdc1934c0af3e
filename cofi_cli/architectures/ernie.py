"""ERNIE (Sun et al. 2019): BERT; since 2.0 a model may add an embedding of its task.

We have none, so a model that does is refused.
"""

from cofi_cli.architectures.adapter import Adapter
from cofi_cli.architectures.bert import CONFIG, FIXED, encoder_renames, heads

ERNIE = Adapter(
    model_type="ernie",
    prefix="ernie.",
    heads=heads("Ernie", "ernie.pooler.dense"),
    config=CONFIG,
    fixed=FIXED | {"use_task_id": False},
    renames=encoder_renames("ernie."),
)
