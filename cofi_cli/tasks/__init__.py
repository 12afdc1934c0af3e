"""Tasks: data, preprocessing and metric. :func:`load_task` finds one by its configuration."""

from cofi_cli.tasks.encoded import Encoded, Ragged, batches, collate, eval_batches
from cofi_cli.tasks.kind import Kind
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.load import EXTRA, asks_teacher, check_named, load_task, task_names, with_extra
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task
from cofi_cli.tasks.teacher.taught import Taught
from cofi_cli.tasks.teacher.unlabelled import no_labels
