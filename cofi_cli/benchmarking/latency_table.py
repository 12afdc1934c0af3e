"""Latency tables of a model's shape, measured in onnxruntime: what pruning to a speed goes by.

Weights are random: latency does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cofi_cli.architectures import load_config_dict, load_tokenizer, read_config, resolve
from cofi_cli.benchmarking.latency_stacks import Stacks, Units, chosen_heads
from cofi_cli.benchmarking.task_batches import rows_as_batches
from cofi_cli.config import CaseConfig
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.pruning.cost import LatencyTable
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.runs import RunDir, machine
from cofi_cli.runs.find import is_run
from cofi_cli.runtime.lengths import LENGTH, tokenizer_limit
from cofi_cli.runtime.providers import BUILDS, provider_name, require_one_build, why_unserved
from cofi_cli.runtime.timing import Case

if TYPE_CHECKING:
    from cofi_cli.tasks import Task

_STEP, _STEPS, _REGISTER = 0.6, 10, 8

Report = Callable[[str, int, int], None]
"""Called with the point that is measured next, how many are done, and of how many."""


def dense_model(place: Path) -> str:
    """Return the dense model that a run, a folder or a hub id stands for.

    Raises:
        CofiError: a run without its dense model (exit code 6).
    """
    run = RunDir(place)
    if not is_run(run):
        return str(place)
    if not (run.teacher / "config.json").exists():
        raise CofiError(
            f"{place} holds a run without its dense model.",
            hint="Name the model itself: cofi bench MODEL --table",
            exit_code=UNREACHABLE,
        )
    return str(run.teacher)


def dense_config(name: str) -> CofiConfig:
    """Return the configuration of a dense model.

    Raises:
        CofiError: not reachable, not supported, or compact already.
    """
    if load_config_dict(resolve(name))["model_type"] == CofiConfig.model_type:
        raise CofiError(
            f"'{name}' is a compact model, but a latency table describes a dense one.",
            hint="Name the model that it was pruned from, or its run.",
        )
    return read_config(name, "sequence")


def request_table(
    model: str,
    asked: CaseConfig,
    *,
    task: Task | None = None,
    report: Report = lambda *_: None,
) -> LatencyTable:
    """Measure the table of a model in the case asked for.

    Args:
        model: a dense model's folder or hub id.
        asked: the case; without a length 128 tokens, or the longest that the model takes.
        task: whose rows are timed where the length is ``task``.
        report: told before each point.

    Raises:
        CofiError: the case does not fit the model or the machine, or no task is known.
    """
    config, provider = dense_config(model), asked.provider or "cpu"
    usual = min(LENGTH, config.longest_input) if config.position == "learned" else LENGTH
    case = Case(asked.batch or 1, asked.seq_len or usual)
    batches = _task_rows(model, config, task, case) if case.seq_len == "task" else []
    threads = asked.threads or machine.default_threads()
    stacks = Stacks(config, case, provider, asked.precision or "fp32", threads, batches)
    name = task.name if task is not None and batches else None
    return measure_table(stacks, task=name, report=report)


def measure_table(
    stacks: Stacks, *, task: str | None = None, report: Report = lambda *_: None
) -> LatencyTable:
    """Measure the table of a dense model's shape.

    Args:
        stacks: of its sub-layers, in the setting of the table.
        task: name of the task whose lengths the case has.
        report: told before each point.

    Raises:
        CofiError: the provider does not serve the precision or is not there, the rows are longer
            than the model takes, or onnxruntime fails.
    """
    _check_setting(stacks)
    shape, case, provider = EncoderShape.of(stacks.config), stacks.case, stacks.provider
    hidden = tuple(sorted({max(1, shape.hidden // 4), max(1, shape.hidden // 2), shape.hidden}))
    heads = tuple(chosen_heads(shape.n_heads))
    widths = tuple(sorted({*_widths(shape.ffn), shape.ffn}))
    points: list[Units] = [*((h, 0) for h in heads), *((0, w) for w in widths)]
    done = count()

    def next_point(units: Units) -> None:
        what = f"{units[0]} heads" if units[0] else f"FFN width {units[1]}"
        report(f"{what}, hidden {width}", next(done), len(hidden) * len(points))

    found = np.zeros((len(hidden), len(points)))
    for row, width in enumerate(hidden):
        calls, found[row] = stacks.sub_layers(points, width, next_point)
    every_head = np.arange(1, shape.n_heads + 1)
    measured = rising(found[:, : len(heads)])
    attention = np.stack([np.interp(every_head, heads, times) for times in measured])
    ffn = rising(found[:, len(heads) :])
    return LatencyTable(
        provider=provider,
        precision=stacks.precision,
        batch=case.batch,
        seq_len=case.seq_len,
        task=task,
        threads=stacks.threads if provider == "cpu" else None,
        shape=shape,
        environment=machine.describe_machine().model_dump() | machine.versions("onnxruntime"),
        fixed_seconds=max(0.0, calls - float(attention[-1, 0])),
        hidden=hidden,
        heads=tuple(every_head.tolist()),
        ffn_widths=widths,
        attention_seconds=tuple(map(tuple, attention.tolist())),
        ffn_seconds=tuple(map(tuple, ffn.tolist())),
    )


def _task_rows(
    model: str, config: CofiConfig, task: Task | None, case: Case
) -> Sequence[Mapping[str, Any]]:
    """Return validation rows of a task as batches, for a model's tokenizer.

    Raises:
        CofiError: no task is known, or it has fewer rows than a batch takes.
    """
    if task is None:
        raise CofiError(
            "seq_len is 'task', but there is no task whose rows give the lengths.",
            hint="Name the task with --task, or give a length: --seq-len 128.",
        )
    most = config.longest_input if config.position == "learned" else task.max_length
    task = replace(task, max_length=int(min(task.max_length, most, tokenizer_limit(model))))
    return rows_as_batches(task, load_tokenizer(model), size=case.batch).batches


def _check_setting(stacks: Stacks) -> None:
    """Refuse a setting that onnxruntime or the model does not serve, before anything is measured.

    Raises:
        CofiError: naming what does not fit.
    """
    config, case, provider = stacks.config, stacks.case, stacks.provider
    provider_name(provider)
    require_one_build(machine.versions(*BUILDS), provider=provider)
    machine.check_threads(stacks.threads)
    if (why := why_unserved(provider, stacks.precision)) is not None:
        raise CofiError(f"Precision '{stacks.precision}' cannot be timed on '{provider}': {why}.")
    longest = config.longest_input
    if config.position == "learned" and case.seq_len != "task" and case.seq_len > longest:
        raise CofiError(
            f"seq_len is {case.seq_len}; this model takes at most {longest} tokens.",
            hint=f"Use --seq-len {longest} or less.",
        )


def rising(seconds: np.ndarray) -> np.ndarray:
    """Return times that rise with both widths: midway between what noise hides on either side.

    Args:
        seconds: (hidden, units), ascending widths; differences of noisy times.
    """
    low = high = np.maximum(seconds, 0.0)
    for axis in (0, 1):
        high = np.maximum.accumulate(high, axis=axis)
        low = np.flip(np.minimum.accumulate(np.flip(low, axis), axis=axis), axis)
    middle: np.ndarray = (low + high) / 2
    return middle


def _widths(ffn: int) -> list[int]:
    """Return FFN widths in steps, as multiples of a register where they are wide."""
    steps = (ffn * _STEP**n for n in range(_STEPS))
    wide = [round(w / _REGISTER) * _REGISTER for w in steps if w > 2 * _REGISTER]
    return [*wide, 1]
