"""Checks of model, teacher, data and settings: one list for prune, finetune and --dry-run."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass

from cofi_cli.architectures import is_compact, load_dense, read_answers, read_config
from cofi_cli.config import CaseConfig, RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.pruning.cost import LatencyTable
from cofi_cli.runs import RunDir
from cofi_cli.tasks import Task, Taught, asks_teacher, load_task, no_labels, with_extra
from cofi_cli.training.baselines.word_vectors import check as check_words
from cofi_cli.training.preflight.embedder import check_embedders, given_teacher
from cofi_cli.training.preflight.run import guard_data, wide_numbers
from cofi_cli.training.preflight.target import check_target
from cofi_cli.training.preflight.teacher import check_given_teacher
from cofi_cli.training.processes import Processes
from cofi_cli.training.stages.progress import Progress, Silent
from cofi_cli.training.stages.target import Target
from cofi_cli.training.stopwatch import Stopwatch
from cofi_cli.vocabulary.factors import check_rank

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
    """What a run is about to do, all of it checked.

    Attributes:
        task: of the configuration.
        target: of pruning; ``None`` where nothing is pruned.
        warnings: which are logged too.
    """

    task: Task
    target: Target | None
    warnings: list[str]


def preflight(
    config: RunConfig,
    run: RunDir | None,
    *,
    command: str,
    processes: Processes,
    stopwatch: Stopwatch | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Load the task and check all that can be known before anything is trained or written.

    Args:
        run: its folder, for what was done there already.
        command: ``prune`` or ``finetune``.
        stopwatch: measures a latency table where a speed is asked for and none is named.

    Raises:
        CofiError: the first fault.
    """
    loaded = functools.cache(lambda: _load_task(config))

    def measure(case: CaseConfig) -> LatencyTable:
        if stopwatch is None:
            raise CofiError(
                "The target is a speed, but there is neither a latency table nor a stopwatch.",
                hint="Name a table: prune.table, or pass stopwatch=Stopwatch() to prune().",
            )
        watcher = progress or Silent()
        return processes.by_main(lambda: stopwatch.table(config.model, case, loaded, watcher))

    prunes = command == "prune"
    target = check_target(config, run, measure) if prunes else None
    task = loaded()
    if run is not None:
        guard_data(run, task)
    if not prunes:
        _check_finetune(config, task)
    given = given_teacher(config.model, config.teacher.path, task)
    is_taken = prunes and run is not None and run.teacher.exists()
    if given is not None and not is_taken:
        check_given_teacher(given, config, task, prunes=prunes)
    if prunes and config.train.baseline:
        check_words(task)
    check_embedders(config.model, config.teacher.path, task)
    if config.embedding_rank is not None or config.size is not None:
        _check_rank(config, task, command=command)
    if run is not None and not run.exists:
        _check_weights(config, task)
    warnings = [note for note in (wide_numbers(task),) if note]
    for note in warnings:
        log.warning("%s", note)
    return Checked(task, target, warnings)


def _load_task(config: RunConfig) -> Task:
    """Load the task of a configuration.

    Raises:
        CofiError: a fault in the data, no teacher where ``task.unlabelled`` needs one, or
            training rows that have neither labels nor a teacher, or no labels where
            ``distill.label_weight`` asks for them.
    """
    taught, teacher = None, config.teacher.path
    if teacher is not None and asks_teacher(config.task):
        taught = Taught.of(read_answers(teacher), config.task.kind)
    task = with_extra(load_task(config.task, taught), config.task)
    if task.splits["train"].labels is None and teacher is None and task.kind.has_labels:
        raise no_labels(task)
    if task.splits["train"].labels is None and config.distill.label_weight > 0:
        raise CofiError(
            f"distill.label_weight is {config.distill.label_weight:g}, but the training rows of "
            f"task '{task.name}' have no labels.",
            hint="Set it to 0: --set distill.label_weight=0",
        )
    return task


def _check_weights(config: RunConfig, task: Task) -> None:
    """Open the models before a folder tells of a run: one that cannot be opened leaves none.

    Raises:
        CofiError: their weights are not whole, not finite, or of other shapes.
    """
    for name in dict.fromkeys(filter(None, (config.model, config.teacher.path))):
        load_dense(
            name,
            num_labels=task.num_labels,
            head=task.kind.head,
            labels=task.labels,
            problem_type=task.kind.problem_type,
        )


def _check_rank(config: RunConfig, task: Task, *, command: str) -> None:
    """Refuse a rank that saves nothing, or a model that is not saved with a factorised table.

    Raises:
        CofiError: naming the width of the word vectors, or the dense model.
    """
    if command == "finetune" and not is_compact(config.model):
        raise CofiError(
            f"'{config.model}' is a dense model, and its architecture has no factorised table of "
            "word vectors.",
            hint="Leave --embedding-rank and --size out, or prune the model: cofi prune MODEL",
        )
    if config.embedding_rank is not None:
        own = read_config(config.model, task.kind.head)
        check_rank(config.embedding_rank, own.embedding_size or own.hidden_size)


def _check_finetune(config: RunConfig, task: Task) -> None:
    """Refuse what would train nothing, or not as asked.

    Raises:
        CofiError: no epochs; a teacher that would not be listened to or does not fit; none where
            there are no labels to learn from.
    """
    given, was_pruned = config.teacher.path, is_compact(config.model)
    if was_pruned and config.recover.epochs == 0:
        raise CofiError(
            "recover.epochs is 0, so a compact model is not trained at all.",
            hint="Add --set recover.epochs=1, or more.",
        )
    if not task.kind.has_labels and (given is None or not was_pruned):
        raise CofiError(
            f"Kind {task.kind} learns from a teacher's vectors, not from labels, and "
            f"'{config.model}' has no teacher that is larger than itself.",
            hint="To prune a model: cofi prune MODEL, with the same data; to train a pruned one "
            "on: cofi finetune RUN/model --teacher RUN/teacher",
        )
    if given is not None and not was_pruned and task.splits["train"].labels is not None:
        raise CofiError(
            f"'{config.model}' is a dense model, which is trained on labels; it would not use "
            f"the teacher '{given}'.",
            hint="Leave --teacher out; or add --unlabelled to learn from the teacher alone.",
        )
    if given is None and config.task.extra is not None:
        raise CofiError(
            "--extra adds texts without labels, and there is no teacher to answer them.",
            hint="Name the teacher with --teacher DIR, or leave --extra out.",
        )
