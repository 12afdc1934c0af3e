"""Measure a latency table of a model's shape in onnxruntime: what ``prune --table`` reads.

    python -m cofi_cli.benchmarking.latency_table MODEL -o table.json --batch 1 --length 128

Weights are random: latency does not depend on them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from cofi_cli.architectures import adapter_for, load_config_dict, resolve
from cofi_cli.benchmarking.latency_stacks import FORMS, Stacks
from cofi_cli.errors import CofiError
from cofi_cli.modeling import CofiConfig
from cofi_cli.pruning.cost import LatencyTable
from cofi_cli.pruning.shape import EncoderShape
from cofi_cli.runs import write_text
from cofi_cli.runs.machine import default_threads, describe_machine
from cofi_cli.runtime.timing import Case, Schedule

SCHEDULE = Schedule(runs=40, rounds=10, max_seconds=4.0, min_seconds=0.4)
_STEP, _STEPS, _REGISTER = 0.75, 14, 8


def measure_table(
    config: CofiConfig,
    *,
    batch: int,
    seq_len: int,
    provider: str = "cpu",
    threads: int | None = None,
    schedule: Schedule = SCHEDULE,
    ffn_widths: Sequence[int] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> LatencyTable:
    """Measure the table of a dense model's shape, in fp32.

    Args:
        config: of the dense model.
        batch, seq_len: rows, and tokens a row.
        provider: ``cpu`` or ``cuda``.
        threads: of onnxruntime; ``None`` = one a core.
        schedule: of each pair of models.
        ffn_widths: to measure; ``None`` = steps of a quarter, the dense one first.
        progress: told before each point.

    Raises:
        CofiError: the rows are longer than the model takes, or onnxruntime fails.
    """
    shape, count = EncoderShape.of(config), threads or default_threads()
    if config.position == "learned" and seq_len > config.longest_input:
        raise CofiError(
            f"seq_len is {seq_len}; this model takes at most {config.longest_input} tokens."
        )
    stacks = Stacks(config, Case(batch, seq_len), provider, count, schedule)
    hidden = (max(1, shape.hidden // 2), shape.hidden)
    heads = tuple(range(1, shape.n_heads + 1))
    widths = tuple(sorted({*(ffn_widths or _widths(shape.ffn)), shape.ffn}))

    def times(heads: Sequence[int], widths: Sequence[int]) -> np.ndarray:
        found = np.zeros((len(hidden), len(heads)))
        for row, d in enumerate(hidden):
            for column, (h, w) in enumerate(zip(heads, widths)):
                progress(f"hidden {d}, " + (f"heads {h}" if h else f"FFN width {w}"))
                found[row, column] = stacks.sub_layer(h, w, d)
        return rising(found)

    attention = times(heads, [0] * len(heads))
    ffn = times([0] * len(widths), widths)
    layers = shape.n_layers
    dense = stacks.seconds([([shape.n_heads] * layers, [shape.ffn] * layers)], shape.hidden)[0]
    return LatencyTable(
        provider=provider,
        precision="fp32",
        batch=batch,
        seq_len=seq_len,
        threads=count if provider == "cpu" else None,
        shape=shape,
        environment=describe_machine().model_dump()
        | {"onnxruntime": metadata.version("onnxruntime")},
        fixed_seconds=max(0.0, dense - layers * float(attention[-1, -1] + ffn[-1, -1])),
        hidden=hidden,
        heads=heads,
        ffn_widths=widths,
        attention_seconds=tuple(map(tuple, attention.tolist())),
        ffn_seconds=tuple(map(tuple, ffn.tolist())),
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
    """Return FFN widths in steps of a quarter, as multiples of a register where they are wide."""
    steps = (ffn * _STEP**n for n in range(_STEPS))
    return [max(1, round(w / _REGISTER) * _REGISTER) if w > 2 * _REGISTER else 1 for w in steps]


def _say(point: str) -> None:
    sys.stderr.write(f"{point}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a table and write it."""
    parser = argparse.ArgumentParser(description="Measure a latency table of a model's shape.")
    parser.add_argument("model", help="a hub id or a local folder of a dense model")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--length", type=int, default=128, help="tokens a row")
    parser.add_argument("--provider", choices=sorted(FORMS), default="cpu")
    parser.add_argument("--threads", type=int)
    own = parser.parse_args(arguments)
    theirs = load_config_dict(resolve(own.model))
    table = measure_table(
        CofiConfig(**adapter_for(own.model, theirs).config_to_ours(theirs)),
        batch=own.batch,
        seq_len=own.length,
        provider=own.provider,
        threads=own.threads,
        progress=_say,
    )
    write_text(own.output, table.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
