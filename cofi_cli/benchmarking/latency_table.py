"""Measure a latency table of a model's shape in onnxruntime: what pruning to a speed goes by.

Weights are random: latency does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cofi_cli.architectures import adapter_for, load_config_dict, resolve
from cofi_cli.benchmarking.latency_stacks import Stacks, Units, chosen_heads
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.pruning.cost import LatencyTable
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.runs import machine
from cofi_cli.runtime.lengths import LENGTH
from cofi_cli.runtime.providers import BUILDS, provider_name, require_one_build, why_unserved
from cofi_cli.runtime.timing import Case, Schedule, cross

SCHEDULE = Schedule(runs=24, rounds=8, max_seconds=2.0, min_seconds=0.6)
_STEP, _STEPS, _REGISTER = 0.6, 10, 8

Report = Callable[[str, int, int], None]
"""Called with the point that is measured next, how many are done, and of how many."""


def dense_config(name: str) -> CofiConfig:
    """Return the configuration of a dense model.

    Raises:
        CofiError: not reachable, not supported, or compact already.
    """
    theirs = load_config_dict(resolve(name))
    if theirs["model_type"] == CofiConfig.model_type:
        raise CofiError(
            f"'{name}' is a compact model, but a latency table describes a dense one.",
            hint="Name the model that it was pruned from, or its run.",
        )
    return CofiConfig(**adapter_for(name, theirs).config_to_ours(theirs))


def measure_table(
    config: CofiConfig,
    case: Case,
    *,
    provider: str = "cpu",
    precision: str = "fp32",
    threads: int | None = None,
    schedule: Schedule = SCHEDULE,
    ffn_widths: Sequence[int] | None = None,
    task: str | None = None,
    batches: Sequence[Mapping[str, Any]] = (),
    report: Report = lambda *_: None,
) -> LatencyTable:
    """Measure the table of a dense model's shape.

    Args:
        config: of the dense model.
        case: rows, and tokens a row.
        provider, precision: as an export has them.
        threads: of onnxruntime; ``None`` = one a core.
        schedule: of each stack.
        ffn_widths: to measure; ``None`` = steps of 0.6, the dense one first.
        task, batches: name and rows, as batches, of the task whose lengths the case has.
        report: told before each point.

    Raises:
        CofiError: the provider does not serve the precision or is not there, the rows are longer
            than the model takes, or onnxruntime fails.
    """
    shape, count = EncoderShape.of(config), threads or machine.default_threads()
    check_setting(config, case, provider=provider, precision=precision, threads=count)
    stacks = Stacks(config, case, provider, precision, count, schedule, batches)
    hidden = tuple(sorted({max(1, shape.hidden // 4), max(1, shape.hidden // 2), shape.hidden}))
    heads = tuple(chosen_heads(shape.n_heads))
    widths = tuple(sorted({*(ffn_widths or _widths(shape.ffn)), shape.ffn}))
    points: list[Units] = [*((h, 0) for h in heads), *((0, w) for w in widths)]
    done = 0

    def next_point(units: Units) -> None:
        nonlocal done
        what = f"{units[0]} heads" if units[0] else f"FFN width {units[1]}"
        report(f"{what}, hidden {width}", done, len(hidden) * len(points))
        done += 1

    found = np.zeros((len(hidden), len(points)))
    for row, width in enumerate(hidden):
        calls, found[row] = stacks.sub_layers(points, width, next_point)
    every_head = np.arange(1, shape.n_heads + 1)
    measured = rising(found[:, : len(heads)])
    attention = np.stack([np.interp(every_head, heads, times) for times in measured])
    ffn = rising(found[:, len(heads) :])
    return LatencyTable(
        provider=provider,
        precision=precision,
        batch=case.batch,
        seq_len=case.seq_len,
        task=task,
        threads=count if provider == "cpu" else None,
        shape=shape,
        environment=machine.describe_machine().model_dump() | machine.versions("onnxruntime"),
        fixed_seconds=max(0.0, calls - float(attention[-1, 0])),
        hidden=hidden,
        heads=tuple(every_head.tolist()),
        ffn_widths=widths,
        attention_seconds=tuple(map(tuple, attention.tolist())),
        ffn_seconds=tuple(map(tuple, ffn.tolist())),
    )


def check_setting(
    config: CofiConfig, case: Case, *, provider: str, precision: str, threads: int
) -> None:
    """Refuse a setting that onnxruntime or the model does not serve, before anything is measured.

    Raises:
        CofiError: naming what does not fit.
    """
    provider_name(provider)
    require_one_build(machine.versions(*BUILDS), provider=provider)
    machine.check_threads(threads)
    cross([case.batch], [case.seq_len])
    if (why := why_unserved(provider, precision)) is not None:
        raise CofiError(f"Precision '{precision}' cannot be timed on '{provider}': {why}.")
    longest = config.longest_input
    if config.position == "learned" and case.seq_len != "task" and case.seq_len > longest:
        raise CofiError(
            f"seq_len is {case.seq_len}; this model takes at most {longest} tokens.",
            hint=f"Use --seq-len {longest} or less.",
        )


def usual_length(config: CofiConfig) -> int:
    """Return the length that is timed by default: 128, or the model's longest."""
    return min(LENGTH, config.longest_input) if config.position == "learned" else LENGTH


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
