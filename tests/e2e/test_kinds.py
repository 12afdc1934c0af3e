"""Whole runs of several labels a row, of rankings, and of texts without any label."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import cofi_cli.auto  # noqa: F401  (registers the model type)
from cofi_cli import bench, export
from cofi_cli.architectures.cross_encoder import activation_of
from cofi_cli.config import RunConfig
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import RunReport
from cofi_cli.training import dry_run, finetune, prune
from tests.tiny import save_bert
from tests.tiny_kinds import kind_config, save_ranking, save_texts, save_topics

IDENTITY = "torch.nn.modules.linear.Identity"
SHORT = {
    "prune": {"epochs": 2, "dense_epochs": 0.5, "ramp_epochs": 0.5},
    "recover": {"epochs": 1},
}


def scores_of(run: RunDir) -> dict[str, float]:
    """Return model's name -> score of its ONNX file, in points."""
    export(run.root, graph="plain")
    result = bench(
        [run.root],
        batch=(1,),
        seq_len=(8,),
        threads=1,
        runs=2,
        warmup=1,
        torch=False,
        min_seconds=0,
    )
    return {row.model: row.score for row in result.scores}


@pytest.fixture(scope="module")
def topics(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished multilabel run."""
    root = tmp_path_factory.mktemp("topics")
    data = save_topics(root / "data")
    task = {"train": str(data / "train.jsonl"), "validation": str(data / "dev.jsonl")}
    run = RunDir(root / "run")
    longer = {"teacher": {"epochs": 40}}
    prune(kind_config(bert_folder, task, **SHORT, **longer), run)
    return run


def test_a_multilabel_run_to_its_onnx_scores(topics: RunDir) -> None:
    report = RunReport.read(topics.report_json)
    assert (report.kind, report.metric) == ("multilabel", "micro_f1")
    assert list(report.model.scores["validation"]) == [
        "micro_f1",
        "macro_f1",
        "subset_accuracy",
    ]
    assert report.teacher.score > 80, "it can be learned"
    found = scores_of(topics)
    assert found["model"] == pytest.approx(report.model.score, abs=1e-6)
    assert found["dense"] == pytest.approx(report.teacher.score, abs=1e-6)


@pytest.mark.parametrize("folder", ["teacher", "model"])
def test_a_pipeline_applies_a_sigmoid_to_each_label(topics: RunDir, folder: str) -> None:
    place = str(topics.root / folder)
    classify = pipeline("text-classification", model=place, top_k=None)
    shown = {row["label"]: row["score"] for row in classify(["good film bad plot"])[0]}
    inputs = AutoTokenizer.from_pretrained(place)("good film bad plot", return_tensors="pt")
    with torch.no_grad():
        logits = AutoModelForSequenceClassification.from_pretrained(place)(**inputs).logits[0]
    assert shown == pytest.approx(
        dict(zip(("bad", "good", "people"), torch.sigmoid(logits).tolist(), strict=True)), abs=1e-5
    )


def test_it_opens_where_cofi_is_not_installed(topics: RunDir, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from transformers import AutoModelForSequenceClassification as A\n"
        "model = A.from_pretrained(sys.argv[1], trust_remote_code=True)\n"
        "assert 'cofi_cli' not in sys.modules\n"
        "print(model.config.problem_type, model.num_labels)"
    )
    paths = {"PYTHONPATH": "", "HF_MODULES_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(topics.model)],
        cwd=tmp_path,
        env=os.environ | paths,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["multi_label_classification", "3"], done.stderr


# --- ranking


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished run of a cross-encoder whose teacher is trained on graded pairs."""
    root = tmp_path_factory.mktemp("ranker")
    model = save_bert(root / "ce", num_labels=1)
    config = json.loads((model / "config.json").read_text())
    config["sentence_transformers"] = {"activation_fn": IDENTITY}
    (model / "config.json").write_text(json.dumps(config))
    data = save_ranking(root / "data")
    task = {
        "train": str(data / "train.csv"),
        "validation": str(data / "dev.csv"),
        "kind": "ranking",
    }
    run = RunDir(root / "run")
    prune(kind_config(model, task, **SHORT), run)
    return run


def test_a_ranking_run_to_its_onnx_scores(ranker: RunDir) -> None:
    report = RunReport.read(ranker.report_json)
    assert (report.kind, report.metric) == ("ranking", "ndcg@10")
    assert "Relevance, 0 to 2, is divided by 2" in report.note
    assert report.teacher.score > 90, "it can be learned"
    found = scores_of(ranker)
    assert found["model"] == pytest.approx(report.model.score, abs=1e-6)
    assert found["dense"] == pytest.approx(report.teacher.score, abs=1e-6)


def test_a_pruned_cross_encoder_keeps_its_activation(ranker: RunDir) -> None:
    for folder in (ranker.teacher, ranker.model):
        assert activation_of(str(folder)) == IDENTITY
    model = AutoModelForSequenceClassification.from_pretrained(ranker.model)
    assert model.num_labels == 1


def test_sentence_transformers_opens_it(ranker: RunDir) -> None:
    library = pytest.importorskip("sentence_transformers")
    pairs = [("the plot", "good fine"), ("the plot", "bad poor awful")]
    encoder = library.CrossEncoder(str(ranker.model), device="cpu")
    tokenizer = AutoTokenizer.from_pretrained(ranker.model)
    inputs = tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt")
    model = AutoModelForSequenceClassification.from_pretrained(ranker.model)
    with torch.no_grad():
        logits = model(**inputs).logits[:, 0]
    assert encoder.predict(pairs).tolist() == pytest.approx(logits.tolist(), abs=1e-5)


def test_pairs_with_a_number_each(bert_folder: Path, tmp_path: Path) -> None:
    data = save_ranking(tmp_path / "data", queries=12)
    for name in ("train", "dev"):
        path = data / f"{name}.csv"
        path.write_text(path.read_text().replace("relevance", "similarity"))
    task = {"train": str(data / "train.csv"), "validation": str(data / "dev.csv")}
    config = kind_config(bert_folder, task | {"kind": "regression"}, **SHORT)
    report = prune(config, RunDir(tmp_path / "run"))
    assert report.kind == "regression" and report.metric == "pearson"
    assert report.teacher.score > 50, "it can be learned"


# --- texts alone


def unlabelled(model: Path | str, teacher: Path, train: Path, **changes: object) -> RunConfig:
    task = {"train": str(train), "unlabelled": True}
    return kind_config(model, task, **(SHORT | {"teacher": {"path": str(teacher)}} | changes))


@pytest.fixture(scope="module")
def agreeing(
    topics: RunDir, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunConfig, RunDir]:
    """A run on texts alone, its teacher that of another run."""
    root = tmp_path_factory.mktemp("agreeing")
    config = unlabelled(bert_folder, topics.teacher, save_texts(root / "texts.txt"))
    run = RunDir(root / "run")
    prune(config, run)
    return config, run


def test_a_run_without_labels_to_its_onnx_scores(agreeing: tuple[RunConfig, RunDir]) -> None:
    _, run = agreeing
    report = RunReport.read(run.report_json)
    assert (report.kind, report.metric) == ("multilabel", "agreement")
    assert report.teacher.score == 100.0
    assert 0 < report.model.score <= 100
    assert "teacher" not in report.stages, "none is trained"
    for card in (run.report_md, run.model / "README.md"):
        if card.exists():
            assert "Agreement is not accuracy: no label was read." in card.read_text()
    found = scores_of(run)
    assert found["model"] == pytest.approx(report.model.score, abs=1e-6)
    assert found["dense"] == pytest.approx(100.0, abs=1e-6)
    config = json.loads((run.model / "config.json").read_text())
    assert list(config["label2id"]) == ["bad", "good", "people"], "the teacher's names"


def test_the_agreement_is_that_of_the_models_themselves(
    agreeing: tuple[RunConfig, RunDir],
) -> None:
    """Recomputed with transformers from the two folders and the kept file of texts."""
    from sklearn.metrics import f1_score

    from cofi_cli.tasks import KINDS
    from cofi_cli.tasks.teacher.hold_out import hold_out

    config, run = agreeing
    lines = Path(str(config.task.train)).read_text().split("\n")
    _, held = hold_out([(line,) for line in lines if line], KINDS["multilabel"], Path("x"))
    yes = []
    for folder in (run.teacher, run.model):
        classify = pipeline("text-classification", model=str(folder), top_k=None)
        rows = [{r["label"]: r["score"] >= 0.5 for r in classify([text])[0]} for (text,) in held]
        yes.append(np.array([[row[n] for n in ("bad", "good", "people")] for row in rows]))
    expected = 100 * f1_score(*yes, average="micro")
    assert RunReport.read(run.report_json).model.score == pytest.approx(expected)


def test_changed_texts_cost_the_scores(
    agreeing: tuple[RunConfig, RunDir], caplog: pytest.LogCaptureFixture
) -> None:
    config, run = agreeing
    path = Path(str(config.task.train))
    before = path.read_text()
    try:
        path.write_text(before.replace("film", "scene"))
        with pytest.raises(CofiError, match="changed since the run") as caught:
            from cofi_cli.runtime.recorded_task import load_run_task

            load_run_task(run)
        assert caught.value.exit_code == UNREACHABLE
    finally:
        path.write_text(before)


def test_more_recovery_from_texts_alone(
    agreeing: tuple[RunConfig, RunDir], topics: RunDir, tmp_path: Path
) -> None:
    config, run = agreeing
    texts = Path(str(config.task.train))
    report = finetune(unlabelled(run.model, topics.teacher, texts), RunDir(tmp_path / "more"))
    assert report.metric == "agreement"
    assert report.model.score >= report.before["agreement"] - 1e-9
    dense = unlabelled(config.model, topics.teacher, texts)
    report = finetune(dense, RunDir(tmp_path / "dense"))
    assert report.model.score > report.before["agreement"], "a dense one learns as well"


def test_numbers_and_a_labelled_dev_file(ranker: RunDir, tmp_path: Path) -> None:
    """The ranker's own kind and metric, its training grades replaced by nonsense."""
    data = save_ranking(tmp_path / "data")
    train = data / "train.csv"
    lines = train.read_text().splitlines()
    nonsense = [line.rpartition(",")[0] + ",none of these" for line in lines[1:]]
    train.write_text("\n".join([lines[0], *nonsense]))
    config = unlabelled(ranker.teacher, ranker.teacher, train)
    plan = dry_run(config)
    assert (plan["metric"], plan["labels"]) == ("agreement", [])
    assert plan["rows"]["validation"] >= 8
    task = config.task.model_copy(update={"validation": str(data / "dev.csv")})
    config = config.model_copy(update={"task": task})
    report = prune(config, RunDir(tmp_path / "run"))
    assert report.metric == "ndcg@10"
    assert report.teacher.score == pytest.approx(RunReport.read(ranker.report_json).teacher.score)
    assert "Learned from the answers of 'teacher' on 96 texts" in report.note


@pytest.mark.parametrize("command", [prune, finetune])
def test_rows_without_labels_and_without_a_teacher(
    command, bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the kind: a loader that finds no labels ends in one error, before any work."""
    from cofi_cli.tasks import KINDS, Split, Task

    for kind in ("classification", "regression", "multilabel", "ranking", "tokens", "span"):
        split = Split([("a", "b")], None)
        bare = Task(
            "bare", KINDS[kind], ("x", "y"), ("m",), {"train": split, "validation": split}, 16
        )
        monkeypatch.setattr(
            "cofi_cli.training.preflight.checks.load_task", lambda *_, own=bare: own
        )
        config = kind_config(bert_folder, {"train": "x", "validation": "y", "kind": kind})
        with pytest.raises(CofiError) as caught:
            command(config, RunDir(tmp_path / "run"))
        assert caught.value.message == "The training rows of task 'bare' have no labels."
        assert caught.value.hint is not None and "--teacher DIR" in caught.value.hint
    assert not (tmp_path / "run").exists()
