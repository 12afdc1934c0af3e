"""The GLUE tasks as a table, read from a local folder of TSV files or from the hub.

Wang et al. (2019), *GLUE: A Multi-Task Benchmark and Analysis Platform for Natural
Language Understanding*. Label names and their order are those of the hub's
``nyu-mll/glue``; metrics and their order are GLUE's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.builtin.folder import split_files
from cofi_cli.tasks.builtin.hub import load_splits
from cofi_cli.tasks.files.tables import read_text, tsv_lines
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.kinds.embedding import KIND as EMBEDDING
from cofi_cli.tasks.kinds.embedding import distinct
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GlueTask:
    """What is particular to one of GLUE's tasks.

    Attributes:
        texts: one or two columns; each as the names that files give it.
        labels: label names in the order of their indices; empty for regression.
        metrics: the headline first.
        label: names that files give the label column, the preferred first.
        headerless: columns of the official file where that has no header line.
        validations: split -> file names without ``.tsv``, the preferred first.
    """

    texts: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    label: tuple[str, ...] = ("label",)
    headerless: tuple[str, ...] = ()
    validations: tuple[tuple[str, tuple[str, ...]], ...] = (("validation", ("dev",)),)


_ONE = (("sentence",),)
_TWO = (("sentence1",), ("sentence2",))

DATASET = "nyu-mll/glue"
STSB = "stsb-embedding"
"""STS-B as a task for embedders: its sentences to learn from, its rated pairs to score on."""
RATED = "sentence-transformers/stsb"
"""STS-B on the hub with the scores of its test split; GLUE's own copy lacks them."""
_HINT = "name a folder with train.tsv and dev.tsv: --data DIR"
_HUB_SPLITS = {
    "train": ("train",),
    "validation": ("validation", "validation_matched"),
    "validation_mismatched": ("validation_mismatched",),
    "test": ("test", "test_matched"),
}
"""Our name of a split -> the hub's."""

HIDDEN = ("-1", "-1.0")
"""What the hub writes where a test set's labels are not published."""

GLUE: dict[str, GlueTask] = {
    "cola": GlueTask(
        _ONE,
        ("unacceptable", "acceptable"),
        ("matthews",),
        headerless=("source", "label", "star", "sentence"),
    ),
    "sst2": GlueTask(_ONE, ("negative", "positive"), ("accuracy",)),
    "mrpc": GlueTask(
        (("sentence1", "#1 String"), ("sentence2", "#2 String")),
        ("not_equivalent", "equivalent"),
        ("accuracy", "f1"),
        label=("label", "Quality"),
    ),
    "stsb": GlueTask(_TWO, (), ("pearson", "spearman"), label=("score", "label")),
    "qqp": GlueTask(
        (("question1",), ("question2",)),
        ("not_duplicate", "duplicate"),
        ("accuracy", "f1"),
        label=("label", "is_duplicate"),
    ),
    "mnli": GlueTask(
        (("sentence1", "premise"), ("sentence2", "hypothesis")),
        ("entailment", "neutral", "contradiction"),
        ("accuracy",),
        label=("gold_label", "label"),
        validations=(
            ("validation", ("dev_matched", "dev")),
            ("validation_mismatched", ("dev_mismatched",)),
        ),
    ),
    "qnli": GlueTask(
        (("question",), ("sentence",)), ("entailment", "not_entailment"), ("accuracy",)
    ),
    "rte": GlueTask(_TWO, ("entailment", "not_entailment"), ("accuracy",)),
    "wnli": GlueTask(_TWO, ("not_entailment", "entailment"), ("accuracy",)),
}


def glue_task(config: TaskConfig) -> Task:
    """Load a GLUE task from ``data`` or the hub.

    Raises:
        CofiError: not reachable (exit code 6), or a fault in the data.
    """
    name = config.name
    assert name is not None
    spec = GLUE[name]
    if config.data:
        splits = splits_from_folder(name, Path(config.data), unlabelled=config.unlabelled)
    else:
        splits = splits_from_hub(name, load_splits(name, DATASET, subset=name, hint=_HINT))
    kind = KINDS["classification" if spec.labels else "regression"]
    return Task(name, kind, spec.labels, spec.metrics, splits, config.max_length)


def stsb_embedding(config: TaskConfig) -> Task:
    """Load STS-B: the training sentences without their scores, dev and test with them.

    Raises:
        CofiError: not reachable (exit code 6), or a fault in the data.
    """
    if config.data is not None:
        splits = splits_from_folder("stsb", Path(config.data))
    else:
        hint = "name a folder with train.tsv and dev.tsv (sentence1, sentence2, score): --data DIR"
        splits = splits_from_hub("stsb", load_splits(STSB, RATED, hint=hint))
    rated = {name: split for name, split in splits.items() if name != "train" and split.labels}
    texts = distinct([text for pair in splits["train"].texts for text in pair])
    train = {"train": Split([(text,) for text in texts], None)}
    return Task(STSB, EMBEDDING, (), EMBEDDING.metrics, {**train, **rated}, config.max_length)


def splits_from_hub(name: str, found: Mapping[str, Any]) -> dict[str, Split]:
    """Turn the hub's splits into ours; a label of -1 means unknown."""
    spec = GLUE[name]
    splits: dict[str, Split] = {}
    for split, aliases in _HUB_SPLITS.items():
        source = next((found[alias] for alias in aliases if alias in found), None)
        if source is None:
            continue
        columns: dict[str, list[Any]] = source[:]
        *texts, labels = (
            next(columns[n] for n in names if n in columns) for names in (*spec.texts, spec.label)
        )
        unknown = all(label == -1 for label in labels)
        splits[split] = Split(list(zip(*texts, strict=True)), None if unknown else labels)
    return splits


def splits_from_folder(name: str, folder: Path, *, unlabelled: bool = False) -> dict[str, Split]:
    """Read ``train.tsv``, ``dev.tsv`` and, if there, ``test.tsv``.

    The files may have GLUE's official headers or the hub's column names; labels may be
    indices or names. They are read without quoting. Unlabelled, the label column of
    ``train.tsv`` is left unread, and ``dev.tsv`` may be missing.

    Raises:
        CofiError: a file is missing (exit code 6) or faulty (which line).
    """
    spec = GLUE[name]
    stems = {"train": ("train",), **dict(spec.validations), "test": ("test", "test_matched")}
    paths = split_files(
        folder,
        {split: [f"{stem}.tsv" for stem in own] for split, own in stems.items()},
        task=name,
        layout=_layout(spec),
        optional=("validation_mismatched", "test", *(["validation"] if unlabelled else [])),
    )
    splits: dict[str, Split] = {}
    for split, path in paths:
        is_labelled = None if unlabelled and split == "train" else split != "test"
        splits[split] = _read_split(path, spec, labelled=is_labelled)
    return splits


def _layout(spec: GlueTask) -> str:
    dev = spec.validations[0][1][0]
    columns = ", ".join([*(names[0] for names in spec.texts), spec.label[0]])
    return f"--data DIR needs train.tsv and {dev}.tsv with a header line: {columns}."


def _read_split(path: Path, spec: GlueTask, *, labelled: bool | None) -> Split:
    """Read a file; ``labelled`` ones need labels, ``False`` takes them if there, ``None`` never."""
    rows = list(tsv_lines(read_text(path)))
    first = rows[0][1] if rows else []
    if spec.headerless and len(first) == len(spec.headerless) and first[1] in ("0", "1"):
        header = list(spec.headerless)
    else:
        header, rows = [column.strip() for column in first], rows[1:]
    if not rows:
        raise CofiError(f"{path} has no rows.", hint=_layout(spec))
    where = [_find(path, header, names) for names in spec.texts]
    labels_at = None
    if labelled or (labelled is not None and set(spec.label) & set(header)):
        labels_at = _find(path, header, spec.label)
    last = max([*where, labels_at or 0])
    short = [line for line, fields in rows if len(fields) <= last]
    if len(short) > len(rows) // 100:  # GLUE's own qqp has some such lines
        raise CofiError(
            f"{path}, line {short[0]}: too few fields, and so in {len(short)} of {len(rows)} "
            f"lines. The header has {len(header)}: {', '.join(header)}."
        )
    if short:
        logger.warning("%s: left out %d lines with too few fields.", path, len(short))
    rows = [(line, fields) for line, fields in rows if len(fields) > last]
    texts: list[tuple[str, ...]] = [tuple(fields[i] for i in where) for _, fields in rows]
    if labels_at is None:
        return Split(texts, None)
    given = [(line, fields[labels_at].strip()) for line, fields in rows]
    if not labelled and all(value in HIDDEN for _, value in given):
        return Split(texts, None)
    return Split(texts, [_label(value, spec, path, line) for line, value in given])


def _find(path: Path, header: list[str], names: tuple[str, ...]) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    wanted = " or ".join(f"'{name}'" for name in names)
    raise CofiError(f"{path} has no column {wanted}. Its columns: {', '.join(header)}.")


def _label(value: str, spec: GlueTask, path: Path, line: int) -> float:
    """Turn a label's name or index into its index, or a score into a number."""
    if spec.labels:
        if value in spec.labels:
            return spec.labels.index(value)
        if value.isdecimal() and int(value) < len(spec.labels):
            return int(value)
        choices = ", ".join(f"{i} or {label}" for i, label in enumerate(spec.labels))
        wanted = f"among the task's: {choices}."
    else:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
        wanted = "a number."
    raise CofiError(f"{path}, line {line}: label '{value}' is not {wanted}")
