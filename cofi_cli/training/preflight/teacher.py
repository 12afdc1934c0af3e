"""Checks that a given teacher fits the task and the model that learns from it."""

from __future__ import annotations

import logging
from typing import Any

from cofi_cli.architectures import (
    has_head,
    has_tokenizer,
    load_config_dict,
    load_tokenizer,
    read_config,
    resolve,
)
from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.modeling import HEADS, CofiConfig
from cofi_cli.tasks import Task
from cofi_cli.tasks.teacher.taught import foreign_label, label_names, places, say_nothing
from cofi_cli.training.distiller import uses_layers
from cofi_cli.training.outcome.artefacts import plan_of
from cofi_cli.training.preflight.embedder import EMBEDDERS, differing

log = logging.getLogger(__name__)


def check_given_teacher(given: str, config: RunConfig, task: Task, *, prunes: bool) -> None:
    """Refuse a teacher that cannot answer the task, or does not fit the model.

    Args:
        given: the teacher.
        task: what it is asked.
        prunes: whether a dense model is pruned with it, which becomes a copy in the run's folder.

    Raises:
        CofiError: saying what is missing, or what differs.
    """
    theirs = load_config_dict(resolve(given))
    if prunes and theirs["model_type"] == CofiConfig.model_type:
        raise CofiError(
            f"The teacher '{given}' is a compact model; pruning needs a dense one.",
            hint="The dense teacher of a run is in its folder: --teacher RUN/teacher",
        )
    if not prunes:
        _check_layers(given, config, task)
    if task.kind.library == EMBEDDERS:  # check_embedders looks at those
        return
    if not has_head(given, num_labels=task.num_labels, head=task.kind.head):
        raise CofiError(
            f"The teacher '{given}' has no {task.kind.head} head with {task.num_labels} "
            f"outputs for task '{task.name}'.",
            hint=f"Fine-tune it first: cofi finetune {given} --task {task.name}",
        )
    _check_names(given, theirs, task)
    if given != config.model:
        _check_fit(given, config, task, prunes=prunes)


def _check_names(given: str, theirs: dict[str, Any], task: Task) -> None:
    """Refuse names that say something else than the task's; numbers are taken as they come."""
    names = label_names(theirs)
    if not task.labels or not names or places(task.labels, names) is not None:
        return
    if say_nothing(names) or all(label.isdecimal() for label in task.labels):
        order = ", ".join(f"{a} is {b}" for a, b in zip(names, task.labels, strict=True))
        log.info("The labels of '%s' are taken by their numbers: %s.", given, order)
        return
    raise foreign_label(task, given, names)


def _check_fit(given: str, config: RunConfig, task: Task, *, prunes: bool) -> None:
    """Compare the sizes that the losses need equal, and the tokenizers."""
    model, teacher = (read_config(name, task.kind.head) for name in (config.model, given))
    is_bare = HEADS[task.kind.head].is_bare  # answers are as wide as the dense model
    keys = ["vocab_size", *(["pooler_size"] if is_bare else [])]
    is_copied = prunes and config.prune.copies_teacher
    if prunes and not is_bare and (uses_layers(config.distill) or is_copied):
        keys.append("hidden_size")
    if prunes and (config.distill.matching == "fixed" or is_copied):
        keys.append("num_hidden_layers")
    different = differing(teacher, model, keys)
    if not different and has_tokenizer(given):
        own, other = (load_tokenizer(name).get_vocab() for name in (config.model, given))
        different = [] if own == other else ["its tokenizer gives tokens other ids"]
    if different:
        raise CofiError(
            f"The teacher '{given}' does not fit '{config.model}': {'; '.join(different)}.",
            hint="Name a teacher that was fine-tuned from this model, or leave --teacher out.",
        )
    needed = min(config.task.max_length, model.longest_input)
    if teacher.position == "learned" and teacher.longest_input < needed:
        raise CofiError(
            f"The teacher '{given}' takes {teacher.longest_input} tokens a row; "
            f"task.max_length is {config.task.max_length}.",
            hint=f"Cut the rows: --set task.max_length={teacher.longest_input}",
        )


def _check_layers(given: str, config: RunConfig, task: Task) -> None:
    """Compare what the layer loss ties together where a model goes on learning."""
    if not uses_layers(config.distill):
        return
    model, teacher = (read_config(name, task.kind.head) for name in (config.model, given))
    plan, different = plan_of(config.model), []
    if plan is not None and plan.encoder_shape.hidden != teacher.hidden_size:
        different.append(
            f"hidden width {teacher.hidden_size} against the {plan.encoder_shape.hidden} that the "
            "model was pruned from"
        )
    if config.distill.matching == "fixed" and model.num_hidden_layers != teacher.num_hidden_layers:
        different.append(
            f"{teacher.num_hidden_layers} layers against the model's {model.num_hidden_layers}, "
            "which distill.matching=fixed takes by their numbers"
        )
    if different:
        raise CofiError(
            f"The layers of the teacher '{given}' do not fit '{config.model}': "
            f"{'; '.join(different)}.",
            hint="Name the teacher that the model was pruned with (RUN/teacher), or learn from the "
            "answers alone: --set distill.matching=none --set distill.prediction_weight=1",
        )
