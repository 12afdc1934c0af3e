"""Embedding as a task: texts to learn the teacher's vectors on, rated pairs to score them by.

No label is read for training. A pair's texts are two rows; what is scored is how well the
cosines of the pairs' embeddings rank with people's ratings of their similarity.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.builtin.glue import glue_from_folder
from cofi_cli.tasks.files.columns import choose_columns, choose_texts, one_label
from cofi_cli.tasks.files.labels import read_labels, to_numbers
from cofi_cli.tasks.files.tables import Table, read_table, read_text
from cofi_cli.tasks.kinds.embedding import KIND
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task
from cofi_cli.tasks.teacher.agreement import AGREEMENT
from cofi_cli.tasks.teacher.hold_out import hold_out

STSB = "stsb-embedding"
DATASET = "sentence-transformers/stsb"
"""STS-B on the hub with the scores of its test split; GLUE's own copy lacks them."""
_PLAIN = ".txt"


def embedding_from_files(config: TaskConfig) -> Task:
    """Build a task from ``train``, texts, and ``validation`` and ``test``, rated pairs.

    The training file is a ``.txt`` with a text a line, or a table whose text column or columns
    (``text``, or a guess) each hold texts. Without ``validation`` some texts are held out.

    Raises:
        CofiError: a file is not there (exit code 6), empty or faulty (which line).
    """
    assert config.train is not None
    if config.data is not None:
        raise CofiError("--data DIR is for built-in tasks; it does not go with --train.")
    path = Path(config.train)
    texts = distinct(_read_texts(path, config.text))
    if not texts:
        raise CofiError(f"{path} has no texts.", hint="One text a line, or a table with a column.")
    splits: dict[str, Split] = {"train": Split([(text,) for text in texts], None)}
    given = {"validation": config.validation, "test": config.test}
    for split, file in given.items():
        if file is not None:
            splits[split] = _read_pairs(Path(file), config)
    note = ""
    metrics: tuple[str, ...] = KIND.metrics
    if config.validation is None:
        if config.test is not None:
            raise CofiError("--test needs --validation FILE as well.")
        kept, held = hold_out(splits["train"].texts, KIND, path)
        splits, metrics = (
            {"train": Split(kept, None), "validation": Split(held, None)},
            (AGREEMENT,),
        )
        note = (
            f"No rated pairs were given: {len(held):,} texts were held out, and the score is "
            f"{KIND.agreement}, in points; 100 is the teacher itself."
        )
    name = path.resolve().parent.name if path.stem.lower() == "train" else path.stem
    return _task(name, splits, config, metrics=metrics, note=note)


def stsb_embedding(config: TaskConfig) -> Task:
    """Load STS-B: the training sentences without their scores, dev and test with them.

    Raises:
        CofiError: not reachable (exit code 6), or a fault in the data.
    """
    splits: Mapping[str, Split]
    if config.data is not None:
        splits = glue_from_folder("stsb", Path(config.data), max_length=config.max_length).splits
    else:
        from cofi_cli.tasks.builtin.hub import load_splits

        hint = "name a folder with train.tsv and dev.tsv (sentence1, sentence2, score): --data DIR"
        splits = splits_from_hub(load_splits(STSB, DATASET, hint=hint))
    rated = {name: split for name, split in splits.items() if name != "train" and split.labels}
    texts = distinct([text for pair in splits["train"].texts for text in pair])
    train = {"train": Split([(text,) for text in texts], None)}
    return _task(STSB, {**train, **rated}, config, metrics=KIND.metrics)


def splits_from_hub(found: Mapping[str, Any]) -> dict[str, Split]:
    """Turn the hub's splits of STS-B into ours."""
    splits = {}
    for name in ("train", "validation", "test"):
        if name in found:
            columns: dict[str, list[Any]] = found[name][:]
            pairs: list[tuple[str, ...]] = list(
                zip(columns["sentence1"], columns["sentence2"], strict=True)
            )
            splits[name] = Split(pairs, [float(score) for score in columns["score"]])
    return splits


def distinct(texts: list[str]) -> list[str]:
    """Return texts in their order, each once; what holds only spaces is left out."""
    return list(dict.fromkeys(text.strip() for text in texts if text.strip()))


def _task(
    name: str,
    splits: Mapping[str, Split],
    config: TaskConfig,
    *,
    metrics: tuple[str, ...],
    note: str = "",
) -> Task:
    return Task(name, KIND, (), metrics, splits, config.max_length, note=note)


def _read_texts(path: Path, text: tuple[str, ...]) -> list[str]:
    if path.suffix.lower() == _PLAIN:
        return read_text(path).split("\n")
    table = read_table(path)
    columns = choose_texts(table, text) if len(table) else ()
    return [cell for row in zip(*(_cells(table, column) for column in columns)) for cell in row]


def _read_pairs(path: Path, config: TaskConfig) -> Split:
    table = read_table(path)
    if not len(table):
        raise CofiError(f"{path} has no rows.", hint="Each row is two texts and a score.")
    own = config.text if len(config.text) == 2 else ()
    columns, label = choose_columns(table, own, one_label(config.label))
    if len(columns) != 2:
        raise CofiError(
            f"{path}: which columns are the two texts of a pair? "
            f"Its columns: {', '.join(table.columns)}.",
            hint="Call them sentence1 and sentence2, or name both with --text COLUMN.",
        )
    read_labels(table, label)
    scores = to_numbers(table, label, because="it rates how similar the texts are")
    texts = zip(*(_cells(table, column) for column in columns), strict=True)
    return Split(list(texts), scores)


def _cells(table: Table, column: str) -> list[str]:
    values = table.columns[column]
    for row, value in enumerate(values):
        if value is None or isinstance(value, list | dict):
            what = "empty" if value is None else f"a {type(value).__name__}"
            raise CofiError(f"{table.place(row)}: the text (column '{column}') is {what}.")
    return [str(value) for value in values]
