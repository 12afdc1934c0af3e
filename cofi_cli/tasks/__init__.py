"""Tasks: data, preprocessing and metric. :func:`load_task` finds one by its configuration."""

from cofi_cli.tasks.encoded import Encoded, Ragged, batches, collate, eval_batches
from cofi_cli.tasks.kinds.encoders import encode
from cofi_cli.tasks.load import EXTRA, load_task, task_names, with_extra
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task
from cofi_cli.tasks.teacher.taught import Taught
from cofi_cli.tasks.teacher.unlabelled import no_labels, no_teacher

__all__ = [
    "EXTRA",
    "Encoded",
    "Ragged",
    "Split",
    "Task",
    "Taught",
    "batches",
    "collate",
    "encode",
    "eval_batches",
    "load_task",
    "no_labels",
    "no_teacher",
    "task_names",
    "with_extra",
]
