"""Seconds of a sub-layer in onnxruntime: what a stack of equal ones takes beyond an empty one."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.exporting.graphs.forms import unsupported
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.precision.unscored import in_precision
from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification
from cofi_cli.runtime import statistics as stats
from cofi_cli.runtime.client import open_workers
from cofi_cli.runtime.timing import Case, Inputs, Schedule, time_case

SCHEDULE = Schedule(runs=24, rounds=8, max_seconds=2.0, min_seconds=0.6)
DEPTH = 6
"""Equal sub-layers of a stack."""
FORMS = {"cpu": ("lean-fused", "fused", "packed"), "cuda": ("fused-skip", "fused", "packed")}
"""Graph forms by provider; the first that fits the model is measured in."""
_AT_ONCE = 6
"""Stacks that run in turn with the empty one."""

Units = tuple[int, int]
"""Heads and FFN dims of each sub-layer of a stack; one of the two is 0."""


@dataclass(frozen=True)
class Stacks:
    """Times stacks of one encoder family in one setting.

    Attributes:
        config: of the dense model.
        case: rows, and tokens a row.
        provider, precision, threads: of onnxruntime.
        batches: the task's rows as batches, where the case has their lengths.
        schedule: how often each runs.
    """

    config: CofiConfig
    case: Case
    provider: str
    precision: str
    threads: int
    batches: Sequence[Mapping[str, Any]] = ()
    schedule: Schedule = SCHEDULE

    def sub_layers(
        self, units: Sequence[Units], hidden: int, progress: Callable[[Units], None]
    ) -> tuple[float, list[float]]:
        """Return the seconds of a call without these sub-layers, and of one of each in a stack.

        A last attention of one head is in all models: what heads do not read is cut behind it.

        Args:
            units: of each stack.
            hidden: width of all.
            progress: told of each stack before it is measured.

        Raises:
            CofiError: onnxruntime fails, or the provider is not there.
        """
        empty: list[float] = []
        found: list[float] = []
        for start in range(0, len(units), _AT_ONCE):
            group = units[start : start + _AT_ONCE]
            for one in group:
                progress(one)
            base, *stacks = self._seconds([(0, 0), *group], hidden)
            empty.append(base)
            found += [(seconds - base) / DEPTH for seconds in stacks]
        return min(empty), found

    def _seconds(self, stacks: Sequence[Units], hidden: int) -> list[float]:
        """Return the median seconds of stacks, which run in turn."""
        with tempfile.TemporaryDirectory() as folder:
            files = {str(n): Path(folder) / f"{n}.onnx" for n in range(len(stacks))}
            for file, (heads, ffn) in zip(files.values(), stacks):
                depth = DEPTH if heads or ffn else 0
                self._write(self._model([*[heads] * depth, 1], [*[ffn] * depth, 0], hidden), file)
            inputs = Inputs(
                dict.fromkeys(files, self.config.vocab_size),
                {self.case.batch: dict.fromkeys(files, self.batches)},
            )
            with open_workers(files, provider=self.provider, threads=self.threads) as workers:
                timed = time_case(workers, self.case, self.schedule, inputs=inputs)
        return [stats.summarize(timed[name]).p50 for name in files]

    def _write(self, model: CofiForSequenceClassification, file: Path) -> None:
        form = next(f for f in FORMS[self.provider] if unsupported(model, f) is None)
        exact = file.with_suffix(".fp32.onnx")
        write_onnx(model, exact, opset=18, form=form, provider=self.provider)
        in_precision(exact, file, self.precision)
        exact.unlink(missing_ok=True)

    def _model(
        self, heads: list[int], ffn: list[int], hidden: int
    ) -> CofiForSequenceClassification:
        config, layers = copy.deepcopy(self.config), len(heads)
        config.layer_heads, config.layer_ffn, config.hidden_size = heads, ffn, hidden
        config.num_hidden_layers = layers
        for name in ("layer_thetas", "layer_windows"):
            if (own := getattr(config, name)) is not None:
                setattr(config, name, [own[i % len(own)] for i in range(layers)])
        if config.relative_buckets:
            config.relative_heads = max(self.config.layer_heads)
            config.layer_head_ids = [list(range(n)) for n in heads]
        config._attn_implementation = "eager"
        model = CofiForSequenceClassification(config)
        model.train(False)
        return model


def chosen_heads(most: int) -> Iterator[int]:
    """Yield the numbers of heads that are measured: all up to 4, then every second one."""
    yield from (n for n in range(1, most + 1) if n <= 4 or n % 2 == 0 or n == most)
