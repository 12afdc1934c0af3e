"""One model to run, under the name that its results carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cofi_cli.runs.records import DENSE
from cofi_cli.runtime.inspection import Graph

_TOKENIZER = (
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "spm.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
"""What transformers writes of a tokenizer."""
FALLBACK_VOCAB = 100
"""Ids below this are valid in any real vocabulary."""

Runtime = Literal["onnxruntime", "torch"]


@dataclass(frozen=True)
class Model:
    """One model of a benchmark, under the name that its results carry.

    Attributes:
        name: unique within the benchmark.
        path: the ONNX file; for torch the checkpoint's folder.
        graph: facts of the file; for torch of the file that was exported from it.
        stated: the precision that its export states, where it does.
        form: which shape of the graph, where its export says so.
        runtime: what runs it.
        family: the export that it belongs to; its dense and pruned models compare.
        size: which size of the model it is, where its export says so.
        of: name of the size that it is among several of a run: ``0.8``.
    """

    name: str
    path: Path
    graph: Graph
    stated: str | None = None
    form: str | None = None
    runtime: Runtime = "onnxruntime"
    family: Path | None = None
    size: str | None = None
    of: str | None = None

    @property
    def is_dense(self) -> bool:
        """Whether it is the dense one of its family."""
        return self.size == DENSE

    @property
    def is_chosen(self) -> bool:
        """Whether it is not one of the sizes of a run that were not chosen."""
        return self.of is None or self.path.parent.resolve() == self.family

    @property
    def precision(self) -> str:
        """``fp32``, ``fp16`` or ``int8``."""
        return self.stated or self.graph.precision

    @property
    def vocab(self) -> int:
        """Random ids are drawn below this."""
        return self.graph.vocab or FALLBACK_VOCAB

    @property
    def tokenizer(self) -> Path:
        """The folder that its tokenizer lies in."""
        return self.path if self.runtime == "torch" else self.path.parent

    @property
    def files(self) -> list[Path]:
        """The ONNX file and those that hold its weights, or a checkpoint's weights."""
        if self.runtime == "onnxruntime":
            beside = self.path.resolve().parent
            return [self.path, *(beside / name for name in self.graph.external)]
        return [*self.path.glob("*.safetensors")] or [*self.path.glob("pytorch_model*.bin")]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.stat().st_size for file in self.files)

    @property
    def shipped(self) -> list[Path]:
        """What a program needs to run it: its files, and tokenizer and configuration beside it."""
        beside = (self.tokenizer / name for name in ("config.json", *_TOKENIZER))
        return [*self.files, *(file for file in beside if file.is_file())]
