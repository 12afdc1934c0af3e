"""Scores of labels and of the values of a column, and the gates on them: they fail closed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from cofi_cli.benchmarking.gates.fail_if import parse_conditions
from cofi_cli.benchmarking.gates.previous_result import Earlier
from cofi_cli.benchmarking.gates.regression import compare, regression_gates
from cofi_cli.benchmarking.gates.thresholds import part_drop_gates
from cofi_cli.config import BenchConfig, ExportConfig, TaskConfig
from cofi_cli.config.max_drop import Limits
from cofi_cli.config_errors import configured
from cofi_cli.errors import CofiError
from cofi_cli.exporting.acceptance import lost
from cofi_cli.report.tables import gate_table
from cofi_cli.runs.export_folder import options_of
from cofi_cli.runs.records import ChangeGate, PartScore, ScoreRow, gate_error
from cofi_cli.tasks import Task, load_task
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.metrics.parts import Counts, label_scores
from cofi_cli.tasks.metrics.tags import entity_counts
from cofi_cli.tasks.rows import fingerprint
from tests.records import bench_result, score_row

ROWS = (
    ("a", "PII", "de", "1"),
    ("b", "PII", "en", "2"),
    ("c", "none", "de", "3"),
    ("d", "none", "en", "4"),
    ("e", "other", "en", "5"),
)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    many = [
        (f"{text}{n}", label, lang, f"{n}{key}")
        for n in range(12)
        for text, label, lang, key in ROWS
    ]
    for name in ("train", "dev"):
        lines = ["text,label,lang,id", *(",".join(row) for row in many)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    files = {"train": str(tmp_path / "train.csv"), "validation": str(tmp_path / "dev.csv")}
    return load_task(TaskConfig(**files, label="label", text=("text",)))


def test_parts_are_those_of_sklearn(task: Task) -> None:
    split = task.splits["validation"]
    assert set(split.columns) == {"lang"}, "id has 60 values"
    assert not task.splits["train"].columns
    gold = np.asarray(split.labels)
    outputs = np.random.default_rng(0).normal(size=(len(gold), 3))
    found = task.part_scores(outputs, gold)
    predicted = outputs.argmax(1)
    for label, precision, recall, f1, count in zip(
        task.labels, *precision_recall_fscore_support(gold, predicted), strict=True
    ):
        for metric, value in (("precision", precision), ("recall", recall), ("f1", f1)):
            assert found[f"{metric}[{label}]"] == (pytest.approx(100 * value), count)
    german = np.asarray(split.columns["lang"]) == "de"
    right = accuracy_score(gold[german], predicted[german])
    assert found["accuracy[lang=de]"] == (pytest.approx(100 * right), 24)
    macro = f1_score(gold[~german], predicted[~german], average="macro")
    assert found["macro_f1[lang=en]"].score == pytest.approx(100 * macro)
    first = task.part_scores(outputs[:4], gold[:4])
    assert first["accuracy[lang=en]"].rows == 2 and "recall[other]" not in first


def test_several_labels_and_tags() -> None:
    kind, labels = KINDS["multilabel"], ("x", "y")
    gold = np.array([[1, 0], [1, 1], [0, 0]], dtype=np.float32)
    logits = np.array([[2.0, 1.0], [-1.0, 3.0], [-1.0, -1.0]])
    assert kind.counts(logits, gold, labels) == {"x": Counts(1, 1, 2), "y": Counts(1, 2, 1)}
    tags = [["B-ORG", "I-ORG", "O"], ["B-LOC", "O", "O"]]
    answers = [["B-ORG", "O", "O"], ["B-LOC", "O", "B-ORG"]]
    counts = entity_counts(tags, answers, ("LOC", "ORG", "PER"))
    assert counts == {"LOC": (1, 1, 1), "ORG": (0, 2, 1), "PER": (0, 0, 0)}
    scores = dict(label_scores(counts))
    assert scores["f1[LOC]"] == (100.0, 1) and scores["recall[ORG]"] == (0.0, 1)
    assert not [name for name in scores if "PER" in name], "no row has it"
    never = dict(label_scores({"a": Counts(0, 0, 3)}))
    assert never == {"recall[a]": (0.0, 3), "f1[a]": (0.0, 3)}, "given to no row: no precision"
    assert KINDS["tokens"].judged_labels(("O", "B-ORG", "I-ORG")) == ("ORG",)
    assert KINDS["span"].counts(None, None, ()) == {}


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("recall[PII]", None),
        ("accuracy[lang=de]", None),
        ("recall[PIl]", "has no label 'PIl'. Did you mean 'PII'? There are: PII, none, other"),
        ("accuracy[PII]", "of a label there are precision, recall, f1, and no accuracy"),
        ("accuracy[land=de]", "have no column 'land' of at most 50 values. Did you mean 'lang'?"),
        ("accuracy[id=11]", "have no column 'id' of at most 50 values. There are: lang"),
        ("accuracy[lang=fr]", "no validation row has 'fr' as lang. There are: de, en"),
        ("f1[lang=de]", "has no metric f1"),
    ],
)
def test_a_part_that_there_is_not(task: Task, part: str, why: str | None) -> None:
    found = task.why_no_part(part)
    assert found is None if why is None else why in str(found)


@pytest.mark.parametrize("kind", [BenchConfig, ExportConfig])
def test_one_grammar_of_limits(kind: type[Any]) -> None:
    asked = configured(kind, {"max_drop": [0.5, "recall[a=b, c]=0.2", "accuracy[lang=de] = 1"]})
    limits = Limits.of(asked.max_drop)
    assert limits == Limits(0.5, {"recall[a=b, c]": 0.2, "accuracy[lang=de]": 1.0})
    assert kind.model_validate_json(asked.model_dump_json(), strict=True) == asked
    assert Limits.of(kind(max_drop=2).max_drop) == Limits(2.0, {})
    assert kind(max_drop=None).max_drop == ()
    for value, message in (
        ("recall[PII]", "'recall[PII]' is neither a number of points, such as 0.5, nor"),
        ("recall[PII]=x", "'recall[PII]=x' is neither"),
        ("inf", "'inf' is neither"),
        (["1", "2"], "1 and 2 are two limits of the same score"),
        (["f1[a]=1", "f1[a]=2"], "f1[a] is given twice"),
    ):
        with pytest.raises(CofiError, match="max_drop") as caught:
            configured(kind, {"max_drop": value}, {"max_drop": "--max-drop"})
        assert message in caught.value.message


def test_an_export_repeats_its_limits_and_takes_none_below_0() -> None:
    asked = ExportConfig(max_drop=[0.5, "recall[a b]=0.2"], dense=False)
    words = " --max-drop 0.5 --max-drop 'recall[a b]=0.2' --no-dense"
    assert options_of(asked) == words
    with pytest.raises(CofiError, match=r"-0\.2 is below 0; it is how many points may be lost"):
        configured(ExportConfig, {"max_drop": ["recall[a]=-0.2"]})


def scored(model: str, score: float = 90.0, **parts: float) -> ScoreRow:
    own = {f"{name}[PII]": PartScore(score=value, rows=14) for name, value in parts.items()}
    return score_row(model, score, parts=own)


def test_a_part_may_lose_no_more_than_allowed() -> None:
    rows = [scored("dense", recall=80, f1=80), scored("model", recall=79.7), scored("int8")]
    gates = part_drop_gates(
        rows, "dense", {"recall[PII]": 0.5, "f1[PII]": 1.0}, judged=["dense", "model", "int8"]
    )
    assert [(g.model, g.part, g.passed) for g in gates] == [
        ("model", "recall[PII]", True),
        ("int8", "recall[PII]", False),
        ("model", "f1[PII]", False),
        ("int8", "f1[PII]", False),
    ]
    error = gate_error(gates)
    assert error is not None and error.exit_code == 3
    assert "'max_drop f1[PII] 1' cannot be judged: model has no f1[PII]: no scored row" in str(
        error
    )
    shown = gate_table(bench_result(gates=gates)).rows[0]
    assert shown[:4] == ("max_drop recall[PII]", "0.5", "0.30", "passed")
    assert shown[4] == "model loses 0.30 points of recall[PII], allowed is 0.5"
    (alone,) = part_drop_gates([scored("model")], "dense", {"precision[PII]": 1}, judged=["model"])
    assert "dense has no precision[PII]" in str(alone.reason) and not alone.passed


def judge(before: ScoreRow, now: ScoreRow | None, text: str) -> list[ChangeGate]:
    old, new = (
        bench_result(scores=[row] if row else [], speedups=[], headline=[]) for row in (before, now)
    )
    conditions = parse_conditions([text])
    rows = compare(Earlier(Path("old.json"), old), new, [c.measure for c in conditions])
    has_score = {"model": now is not None}
    return regression_gates(conditions, rows, judged=["model"], baseline="dense", scored=has_score)


def test_fail_if_on_a_label() -> None:
    before = scored("model", recall=80.0)
    for after, passed in ((79.6, True), (79.4, False)):
        (gate,) = judge(before, scored("model", recall=after), "recall[PII]<-0.5")
        assert (gate.passed, gate.before, gate.after) == (passed, 80.0, after)
    assert "recall[PII] of model changed by -0.60 points" in gate.describe()
    (gate,) = judge(before, scored("model"), "Recall[PII] < -0.5 points")
    assert not gate.passed and "cannot be judged: model has no recall[PII]" in gate.describe()
    (gate,) = judge(scored("model"), scored("model"), "accuracy[lang=de]<-5%")
    assert not gate.passed
    for text in ("score<-1", "recall[PII]<-0.5"):
        (gate,) = judge(before, None, text)
        assert not gate.passed and gate.reason == "model has no score now"


def test_an_export_is_refused_for_a_label() -> None:
    exact = scored("model", recall=80.0)
    own = {"max_drop": 0.5, "part_drops": {"recall[PII]": 0.2}}
    assert lost(exact, scored("model", 89.6, recall=79.8), **own) is None
    assert (
        lost(exact, scored("model", 89.4, recall=79.8), **own) == "scores 89.40, needed are 89.50"
    )
    fault = lost(exact, scored("model", 89.9, recall=79.7), **own)
    assert fault == "has a recall[PII] of 79.70, needed are 79.80"
    assert "the file has no recall[PII]" in str(lost(exact, scored("model"), **own))
    assert "the model has no recall[PII]" in str(lost(scored("model"), exact, **own))


def test_columns_stay_with_rows_that_are_numbered_otherwise(task: Task) -> None:
    from cofi_cli.tasks.teacher.taught import renumbered

    other = renumbered(task, tuple(reversed(task.labels)))
    assert other is not None and other.labels != task.labels
    assert other.splits["validation"].columns == task.splits["validation"].columns
    bare = replace(task.splits["validation"], columns={})
    assert fingerprint(bare) == task.fingerprint["validation"], "that of rows and labels"
