"""Seconds of a sub-layer in onnxruntime: the difference of two stacks of equal ones."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cofi_cli.errors import CofiError
from cofi_cli.exporting.graphs.forms import unsupported
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification
from cofi_cli.runtime import statistics as stats
from cofi_cli.runtime.client import open_workers
from cofi_cli.runtime.timing import Case, Inputs, Schedule, time_case

STACKS = (2, 6)
"""Equal sub-layers of the two models whose difference is the time of one in a stack."""
FORMS = {"cpu": ("lean-fused", "fused", "packed"), "cuda": ("fused-skip", "fused", "packed")}
"""Graph forms by provider; the first that fits the model is measured in."""


@dataclass(frozen=True)
class Stacks:
    """Times encoders of one family in one setting.

    Attributes:
        config: of the dense model.
        case: rows, and tokens a row.
        provider, threads: of onnxruntime; the precision is fp32.
        schedule: how often each runs.
    """

    config: CofiConfig
    case: Case
    provider: str
    threads: int
    schedule: Schedule

    def seconds(self, stacks: Sequence[tuple[list[int], list[int]]], hidden: int) -> list[float]:
        """Return the median seconds of encoders, which run in turn.

        Args:
            stacks: heads of each layer and FFN dims of each layer, for each encoder.
            hidden: their hidden width.

        Raises:
            CofiError: other work disturbed nearly all rounds, or the provider is not there.
        """
        with tempfile.TemporaryDirectory() as folder:
            files = {str(n): Path(folder) / f"{n}.onnx" for n in range(len(stacks))}
            for file, (heads, ffn) in zip(files.values(), stacks):
                model = self._model(heads, ffn, hidden)
                form = next(f for f in FORMS[self.provider] if unsupported(model, f) is None)
                write_onnx(model, file, opset=18, form=form, provider=self.provider)
            inputs = Inputs(dict.fromkeys(files, self.config.vocab_size), {})
            with open_workers(files, provider=self.provider, threads=self.threads) as workers:
                timed = time_case(workers, self.case, self.schedule, inputs=inputs)
        if not timed:
            raise CofiError(
                "Other work disturbed the measurement.", hint="Measure again on a quiet machine."
            )
        return [stats.summarize(timed[name]).p50 for name in files]

    def sub_layer(self, heads: int, ffn: int, hidden: int) -> float:
        """Return the seconds of one sub-layer inside a stack of equal ones.

        A last attention of one head is in both models: what heads do not read is cut behind it.
        """
        low, high = self.seconds([([*([heads] * n), 1], [*([ffn] * n), 0]) for n in STACKS], hidden)
        return (high - low) / (STACKS[1] - STACKS[0])

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
