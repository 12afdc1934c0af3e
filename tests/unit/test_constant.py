"""The score of one answer to all rows, and the warning where a model is no better."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cofi_cli.config import TaskConfig
from cofi_cli.tasks import Encoded, Ragged, Task, load_task
from cofi_cli.training.baselines.constant import constant_score, not_learned

ROWS = 40


def encoded(labels: object, lengths: list[int] | None = None) -> Encoded:
    lengths = lengths or [3] * ROWS
    ids = Ragged([[1] * n for n in lengths])
    return Encoded(ids, ids, labels, np.array(lengths))  # type: ignore[arg-type]


def task(tmp_path: Path, lines: list[str], **options: object) -> Task:
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    return load_task(TaskConfig(train=str(file), validation=str(file), **options))


def classes(tmp_path: Path) -> tuple[Task, Encoded]:
    labels = np.array([0] * 28 + [1] * 12)
    return task(tmp_path, [f"t{i},{'ab'[c]}" for i, c in enumerate(labels)]), encoded(labels)


def test_of_classes_it_is_the_majority(tmp_path: Path) -> None:
    assert constant_score(*classes(tmp_path)) == pytest.approx(70.0)


def test_of_numbers_it_is_nothing(tmp_path: Path) -> None:
    own = task(tmp_path, [f"t{i},{i / 7}" for i in range(ROWS)])
    assert (
        own.kind.name == "regression" and constant_score(own, encoded(np.arange(ROWS) / 7)) == 0.0
    )


def test_of_labels_it_is_those_that_most_rows_have(tmp_path: Path) -> None:
    flags = np.array([[1.0, 0.0]] * 30 + [[0.0, 1.0]] * 10)
    own = task(tmp_path, [f"t{i},{'a' if f[0] else 'b'}" for i, f in enumerate(flags)],
               kind="multilabel")  # fmt: skip
    # 30 of 40 labels are found, and 10 said in vain: micro F1 is 2·30 / (2·30 + 10 + 10).
    assert constant_score(own, encoded(flags)) == pytest.approx(75.0)


def test_where_a_teacher_is_the_measure_it_is_not_known(tmp_path: Path) -> None:
    own, rows = classes(tmp_path)
    bare = SimpleNamespace(splits=own.splits, answers={"validation": object()}, kind=own.kind)
    assert constant_score(bare, rows) is None  # type: ignore[arg-type]
    assert constant_score(own, encoded(None)) is None


@pytest.mark.parametrize(
    ("teacher", "model", "text"),
    [
        (95.0, 71.0, "so it is pruning that lost the task"),
        (75.0, 70.0, "The teacher itself is at 75.0"),
        (95.0, 84.0, "so it is pruning"),  # within two standard errors of 7.2
        (95.0, 85.0, None),
    ],
)
def test_a_model_within_noise_of_it_is_warned_of(
    tmp_path: Path, teacher: float, model: float, text: str | None
) -> None:
    said = not_learned(*classes(tmp_path), teacher=teacher, model=model)
    assert (said is None) == (text is None)
    if text is not None:
        assert said is not None and text in said
        assert f"accuracy is {model:.1f} on the validation rows" in said and "70.0" in said
