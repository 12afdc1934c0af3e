"""A benchmark of a run with files at several precisions, against PyTorch and an earlier result."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from cofi_cli import bench, export
from cofi_cli.benchmarking import measure
from cofi_cli.benchmarking.targets import resolve_targets
from cofi_cli.config import BenchConfig, TaskConfig
from cofi_cli.errors import ENVIRONMENT, UNREACHABLE, USAGE, CofiError
from cofi_cli.exporting.checkpoint import load_model, write_config
from cofi_cli.runs import RunDir, machine, read_json, write_json
from cofi_cli.runs.digests import file_digest
from cofi_cli.runs.records import BenchResult, RunReport, ScoreRow
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.lengths import longest_input
from cofi_cli.runtime.recorded_task import load_run_task
from cofi_cli.runtime.scoring import DevSet, as_numbered
from cofi_cli.runtime.timing import STEADY
from cofi_cli.runtime.worker import random_inputs
from cofi_cli.tasks import Split, load_task
from tests.architectures import save
from tests.records import export_record, exported_file
from tests.tiny_onnx import save_onnx, save_run

QUICK: dict[str, Any] = {
    "batch": (2,),
    "seq_len": (8,),
    "runs": 6,
    "min_seconds": 0,
    "warmup": 1,
    "threads": 1,
    "torch": False,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path, reviews: Path) -> RunDir:
    return save_run(tmp_path_factory.mktemp("runs") / "tiny", bert_folder, reviews)


@pytest.fixture(scope="module")
def result(run: RunDir) -> BenchResult:
    return bench([run.root], **QUICK, min_speedup=1e-3, max_drop=100.0)


def test_a_run_stands_for_all_that_its_export_names(run: RunDir, result: BenchResult) -> None:
    assert [(m.name, m.precision, m.form) for m in result.models] == [
        ("dense", "fp32", "plain"),
        ("model", "fp32", "plain"),
        ("model_int8", "int8", "plain"),
        ("dense_int8", "int8", "plain"),
    ]
    assert all(m.sha256 == file_digest(Path(m.file)) for m in result.models)
    assert result.baseline == "dense"
    assert {row.name for row in result.left_out} == {"model_fp16", "dense_fp16"}
    assert all("half-precision" in row.reason for row in result.left_out)
    folder = bench([run.onnx], **QUICK | {"runs": 1}, score=False)
    assert {m.name for m in folder.models} == {m.name for m in result.models}


def test_a_named_file_is_measured_whatever_the_provider(run: RunDir) -> None:
    found = bench([run.onnx / "model_fp16.onnx"], **QUICK | {"runs": 1}, score=False)
    assert [m.name for m in found.models] == ["model_fp16"]


def test_the_headline_is_equal_precision(result: BenchResult) -> None:
    pairs = {row.model: (row.vs, row.product_vs) for row in result.headline}
    assert pairs == {"model": ("dense", "dense"), "model_int8": ("dense_int8", "dense")}
    p50 = {row.model: row.p50_ms for row in result.cases}
    for row in result.headline:
        assert row.ratio == pytest.approx(p50[row.vs] / p50[row.model])
        assert row.product == pytest.approx(p50["dense"] / p50[row.model])
        assert row.interval[0] <= row.ratio <= row.interval[1]
    for row in result.speedups:
        assert row.vs == "dense"
        assert row.equal_precision is (row.model == "model")


def test_gates_judge_the_pruned_models_at_equal_precision(result: BenchResult) -> None:
    judged = [(g.name, g.model, getattr(g, "vs", None)) for g in result.gates]
    assert judged == [
        ("min_speedup", "model", "dense"),
        ("min_speedup", "model_int8", "dense_int8"),
        ("max_drop", "model", None),
        ("max_drop", "model_int8", None),
    ]
    assert all(g.standard_error is not None for g in result.gates if g.name == "max_drop")


def test_without_a_dense_file_of_its_precision_none_is_the_headline(tmp_path: Path) -> None:
    files = []
    for name, precision in (("model", "fp32"), ("dense", "fp32"), ("model_int8", "int8")):
        file = save_onnx(tmp_path / f"{name}.onnx", work=2)
        files.append(exported_file(file.name, precision=precision, sha256=file_digest(file)))
    export_record(*files).write(tmp_path / "export.json")
    found = bench([tmp_path], **QUICK | {"runs": 2}, min_speedup=1e9, gate_model="model_int8")
    (row,) = [row for row in found.headline if row.model == "model_int8"]
    assert (row.vs, row.ratio, row.interval) == (None, None, None)
    assert row.product > 0
    (gate,) = found.gates
    assert (gate.model, gate.vs, gate.equal_precision) == ("model_int8", "dense", False)


def test_a_file_that_the_export_names_in_vain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_onnx(tmp_path / "model.onnx")
    files = [exported_file(f"{name}.onnx") for name in ("model", "model_int8")]
    export_record(*files).write(tmp_path / "export.json")
    found = bench([tmp_path], **QUICK | {"runs": 1})
    assert [m.name for m in found.models] == ["model"]
    assert "names model_int8.onnx, which is not there; left out" in caplog.text


def test_cold_start_is_from_the_process_to_its_first_answer(result: BenchResult) -> None:
    for row in result.models:
        assert row.cold_start_seconds == row.start_seconds + row.first_run_seconds
        assert row.start_seconds > row.load_seconds > 0
        assert 0.05 < row.cold_start_seconds < 60, "a Python process alone takes longer"


def test_a_report_has_the_benchmark(run: RunDir, result: BenchResult) -> None:
    assert read_json(run.bench) == result.as_json()
    report = run.report_md.read_text(encoding="utf-8")
    assert "all, against dense" in report
    assert RunReport.read(run.report_json).bench.headline == result.headline


def test_the_tasks_own_lengths(run: RunDir) -> None:
    found = bench([run.root], **QUICK | {"seq_len": (8, "task"), "batch": (4,)}, score=False)
    own = [row for row in found.cases if row.case == "b4-task"]
    assert len(own) == 4 and {row.seq_len for row in own} == {"task"}
    assert len({row.runs for row in own}) == 1
    for row in own:
        assert row.rows == 64, "the whole dev set, in full batches"
        assert 6 <= row.mean_tokens < row.mean_length <= 12, "3 to 9 words and two marks"
        assert row.throughput == pytest.approx(
            4000 / np.mean([run for turn in row.samples_ms for run in turn])
        )
    assert {row.case for row in found.speedups} == {"b4-s8", "b4-task"}


def test_the_tasks_lengths_without_a_task(tmp_path: Path) -> None:
    with pytest.raises(CofiError) as caught:
        bench([save_onnx(tmp_path / "a.onnx")], **QUICK | {"seq_len": ("task",)})
    assert caught.value.exit_code == USAGE
    assert "there is no task whose rows give the lengths" in caught.value.message
    assert "--task" in (caught.value.hint or "")


def test_least_seconds_make_more_runs(tmp_path: Path) -> None:
    file = save_onnx(tmp_path / "a.onnx")
    found = bench([file], **QUICK | {"min_seconds": 0.2})
    (row,) = found.cases
    assert row.runs > 6
    assert sum(run for turn in row.samples_ms for run in turn) > 100, "milliseconds"
    assert found.env.min_seconds == 0.2


def test_by_default_a_fast_model_runs_for_a_second_or_for_all_that_is_allowed(
    tmp_path: Path,
) -> None:
    file = save_onnx(tmp_path / "a.onnx")
    found = bench([file], **QUICK | {"min_seconds": None, "max_seconds": 0.2})
    assert found.env.min_seconds == 0.2
    assert BenchConfig().min_seconds is None and STEADY == 1.0


@pytest.mark.slow
def test_torch_beside_the_onnx_files(run: RunDir) -> None:
    found = bench([run.root], **QUICK | {"runs": 2, "torch": None}, min_speedup=1e-3, score_rows=8)
    names = [m.name for m in found.models]
    assert names[0] == "dense" and set(names) >= {"torch/dense", "torch/model", "model"}
    rows = {row.name: row for row in found.models}
    assert rows["torch/model"].runtime == "torch" and rows["model"].runtime == "onnxruntime"
    assert rows["torch/dense"].precision == "fp32"
    weights = (run.teacher / "model.safetensors").stat().st_size
    assert rows["torch/dense"].bytes == weights
    assert found.env.torch == torch.__version__
    headline = {row.model: row for row in found.headline}
    assert headline["torch/model"].vs == "torch/dense"
    assert headline["torch/model"].product_vs == "dense"
    assert "torch/dense" not in headline
    assert not any(gate.model.startswith("torch") for gate in found.gates)
    scored = {row.model for row in found.scores}
    assert "model" in scored and not scored & {"torch/dense", "torch/model"}, "the report has those"


@pytest.mark.slow
def test_the_torch_process_answers_as_transformers_does(run: RunDir) -> None:
    batch = random_inputs(3, 7, vocab=19, seed=1)
    teacher = BertForSequenceClassification.from_pretrained(run.teacher).eval()
    with torch.inference_mode():
        expected = teacher(**{k: torch.from_numpy(v) for k, v in batch.items()}).logits.numpy()
    client = WorkerClient(run.teacher, name="t", provider="cpu", threads=1, runtime="torch")
    with client as worker:
        np.testing.assert_allclose(worker.logits(batch), expected, atol=1e-6)
        worker.feed([batch], what="a batch")
        assert len(worker.time(3)) == 3


@pytest.mark.slow
def test_a_checkpoint_that_torch_cannot_open(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CofiError) as caught:
        WorkerClient(tmp_path, name="t", provider="cpu", threads=1, runtime="torch")
    assert caught.value.exit_code == UNREACHABLE
    assert f"torch cannot open {tmp_path}" in caught.value.message
    assert "--no-torch" in (caught.value.hint or "")


def test_without_checkpoints_pytorch_is_left_out(run: RunDir, tmp_path: Path) -> None:
    shutil.copytree(run.onnx, tmp_path / "onnx")  # all that a CI job may have
    asked = {"baseline": None, "exporter": lambda *_: None}
    there = resolve_targets([run.root], **asked, torch=None)
    alone = resolve_targets([tmp_path / "onnx"], **asked, torch=None)
    assert [m.name for m in there.models if m.runtime == "torch"] == ["torch/dense", "torch/model"]
    assert alone.models and not [m for m in alone.models if m.runtime == "torch"]


def test_a_model_folder_inside_a_run_has_its_own_checkpoint(run: RunDir, tmp_path: Path) -> None:
    shutil.copytree(run.root, tmp_path / "run")
    copy = RunDir(tmp_path / "run")
    save_onnx(copy.model / "onnx" / "model.onnx")
    asked = {"baseline": None, "exporter": lambda *_: None}
    found = resolve_targets([copy.model], **asked, torch=True)
    assert [(m.name, m.path) for m in found.models if m.runtime == "torch"] == [
        ("torch/model", copy.model)
    ]
    for twice in ([copy.root, copy.onnx], [copy.root, copy.root]):
        found = resolve_targets(twice, **asked, torch=True)
        names = [m.name for m in found.models if m.runtime == "torch"]
        assert names == ["torch/dense", "torch/model"]


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_file_that_changes_meanwhile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    file, real = save_onnx(tmp_path / "a.onnx"), measure._time

    def time(*arguments: Any) -> Any:
        timed = real(*arguments)
        file.unlink()
        if not is_gone:
            save_onnx(file, seed=1)
        return timed

    monkeypatch.setattr(measure, "_time", time)
    with pytest.raises(CofiError, match="cannot be read now" if is_gone else "changed") as caught:
        bench([file], **QUICK)
    assert str(file) in caught.value.message
    assert caught.value.exit_code == UNREACHABLE


def test_torch_needs_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(CofiError) as caught:
        bench([save_onnx(tmp_path / "a.onnx")], **QUICK | {"torch": True})
    assert caught.value.exit_code == USAGE
    assert "--torch times the checkpoints of a run" in caught.value.message


def earlier(result: BenchResult, path: Path, *, factor: float = 1.0, **env: Any) -> Path:
    """Write a result whose latencies were ``factor`` times today's."""
    values = read_json(write(path, result))
    for row in values["cases"]:
        row["samples_ms"] = [[run * factor for run in turn] for turn in row["samples_ms"]]
        row["p50_ms"] *= factor
    values["env"] |= env
    write_json(path, values)
    return path


def write(path: Path, result: BenchResult) -> Path:
    result.write(path)
    return path


def test_a_slower_run_fails_against_an_earlier_one(
    run: RunDir, result: BenchResult, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = earlier(result, tmp_path / "old.json", factor=0.1, threads=2)
    with caplog.at_level(logging.WARNING, logger="cofi_cli"):
        found = bench(
            [run.onnx],
            **QUICK,
            compare=old,
            fail_if=["p50>+20%", "size>+1%", "score<-0.5"],
        )
    by_text = {(g.expression, g.model): g for g in found.gates}
    assert set(by_text) == {
        (text, model)
        for text in ("p50>+20%", "size>+1%", "score<-0.5")
        for model in ("model", "model_int8")
    }, "dense files are no models to judge"
    assert [g.passed for (text, _), g in by_text.items() if text == "p50>+20%"] == [False] * 2
    assert all(g.passed for (text, _), g in by_text.items() if text != "p50>+20%")
    assert by_text["p50>+20%", "model"].baseline_ratio > 1.2, "the baseline moved as much"
    assert not found.passed
    assert found.comparison is not None
    assert found.comparison.environment == ["threads 2 before, 1 now"]
    assert (
        "The environment differs, which alone can change latencies: threads 2 before, 1 now."
        in caplog.text
    )


def test_what_cannot_be_judged_is_refused_before_measuring(
    run: RunDir, result: BenchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "WorkerClient", None)
    old = write(tmp_path / "old.json", result)
    other = QUICK | {"seq_len": (16,)}
    with pytest.raises(CofiError, match=r"has nothing to compare with: .*b2-s8; .* in b2-s16\."):
        bench([run.onnx], **other, compare=old, fail_if=["p50>+5%"])
    with pytest.raises(CofiError, match=r"needs an earlier result .* add --compare old/bench"):
        bench([run.onnx], **QUICK, fail_if=["p50>+5%"])
    with pytest.raises(CofiError, match=r"Unknown gate model 'modle'\. Did you mean 'model'\?"):
        bench([run.onnx], **QUICK, gate_model="modle")
    torch_model = QUICK | {"torch": None, "gate_model": "torch/model"}
    with pytest.raises(
        CofiError, match="max_drop needs scores, and torch/model will have"
    ) as caught:
        bench([run.root], **torch_model, max_drop=0.0)
    assert caught.value.exit_code == USAGE and "--torch" in (caught.value.hint or "")
    with pytest.raises(CofiError, match="min_speedup has no model to judge: dense is the base"):
        bench([run.onnx], **QUICK, gate_model="dense", min_speedup=1.0)


def test_models_of_runs_with_another_task_are_not_scored(
    run: RunDir,
    bert_folder: Path,
    reviews: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    copied, other = tmp_path / "same", tmp_path / "other"
    shutil.copytree(reviews, copied)
    shutil.copytree(reviews, other)
    lines = (other / "dev.tsv").read_text(encoding="utf-8").splitlines()
    (other / "dev.tsv").write_text("\n".join(lines[:20]) + "\n", encoding="utf-8")
    alike = save_run(tmp_path / "alike", bert_folder, copied)
    unlike = save_run(tmp_path / "unlike", bert_folder, other)
    file = save_onnx(tmp_path / "alone.onnx")
    shutil.copyfile(bert_folder / "tokenizer.json", tmp_path / "tokenizer.json")
    shutil.copyfile(bert_folder / "config.json", tmp_path / "config.json")
    files = [run.onnx / "model.onnx", alike.onnx / "model.onnx", unlike.onnx / "model.onnx", file]
    asked = QUICK | {"runs": 1}
    found = bench(files, **asked)
    assert [row.model.split("/")[-3:][0] for row in found.scores[:2]] == ["tiny", "alike"]
    assert found.scores[2].model.endswith("alone") and len(found.scores) == 3
    words = "unlike/onnx/model is not scored: the task of its run unlike is not that of tiny."
    assert words in caplog.text
    assert len(bench(files, **asked, task=load_run_task(unlike)).scores) == 4
    with pytest.raises(CofiError, match="max_drop needs scores, and unlike/onnx/model will have"):
        bench(files, **asked, max_drop=1.0, gate_model="unlike/onnx/model")


def test_speedups_of_few_runs_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [save_onnx(tmp_path / f"{name}.onnx") for name in "ab"]
    bench(files, **QUICK | {"runs": 5})
    bench(files[:1], **QUICK | {"runs": 1})
    assert "Too few runs" not in caplog.text
    bench(files, **QUICK | {"runs": 4}, min_speedup=1e-3)
    assert "Too few runs to know the noise of a b2-s8 (4 now), b b2-s8 (4 now)" in caplog.text


@pytest.mark.parametrize("rows", [0, -3])
def test_scores_of_no_rows(run: RunDir, rows: int) -> None:
    with pytest.raises(CofiError, match=f"score_rows is {rows}; it should be greater") as caught:
        bench([run.root], **QUICK, score_rows=rows)
    assert caught.value.exit_code == USAGE


def test_the_usual_length_is_one_that_the_models_take(
    run: RunDir, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    usual = QUICK | {"seq_len": None, "runs": 1}
    found = bench([run.onnx], **usual, score=False)
    assert {row.case for row in found.cases} == {"b2-s48"}
    assert "The length is 48 tokens, since dense takes no more." in caplog.text
    file = save_onnx(tmp_path / "a.onnx")
    assert [row.case for row in bench([file], **usual).cases] == ["b2-s128"]


@pytest.mark.parametrize("name", ["bert", "roberta", "mpnet", "distilbert"])
def test_the_longest_input_is_that_of_the_checkpoint_and_of_its_export(
    tmp_path: Path, name: str
) -> None:
    """Where positions begin after the padding id, the table has more rows than that."""
    checkpoint = save(tmp_path / "dense", name, "sequence")
    model = load_model(str(checkpoint))
    model.save_pretrained(tmp_path / "compact")
    longest = 46 if name in ("roberta", "mpnet") else 48
    for source in (checkpoint, tmp_path / "compact"):
        (tmp_path / "onnx").mkdir(exist_ok=True)
        write_config(str(source), tmp_path / "onnx")
        assert longest_input(str(source)) == longest_input(str(tmp_path / "onnx")) == longest


def test_what_cannot_be_scored_is_told_before_timing(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_run_task(run)
    monkeypatch.setattr(measure, "time_case", None)
    with pytest.raises(CofiError, match="since its folder has no tokenizer") as caught:
        bench([save_onnx(tmp_path / "a.onnx")], **QUICK, task=task)
    assert "--no-score" in (caught.value.hint or "")
    shutil.copytree(run.onnx, tmp_path / "onnx")
    save_onnx(tmp_path / "onnx" / "model.onnx", labels=3)
    with pytest.raises(CofiError, match=r"model answers with shape \(3,\) per row; task 'sst2'"):
        bench([tmp_path / "onnx" / "model.onnx"], **QUICK, task=task)


def test_two_builds_of_onnxruntime_stop_a_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.0"}
    monkeypatch.setattr(machine, "versions", lambda *names: both)
    with pytest.raises(CofiError) as caught:
        bench([save_onnx(tmp_path / "a.onnx")], **QUICK)
    assert caught.value.exit_code == ENVIRONMENT
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in (caught.value.hint or "")


def other_way_round(source: Path, folder: Path) -> Path:
    """Write the same classifier with its two labels numbered the other way round."""
    shutil.copytree(source, folder)
    model = BertForSequenceClassification.from_pretrained(source)
    with torch.no_grad():
        for tensor in (model.classifier.weight, model.classifier.bias):
            tensor.copy_(tensor.flip(0))
    names = {i: model.config.id2label[1 - i] for i in range(2)}
    model.config.id2label, model.config.label2id = names, {n: i for i, n in names.items()}
    model.save_pretrained(folder)
    return folder


def test_labels_in_another_order_are_scored_by_their_names(run: RunDir, tmp_path: Path) -> None:
    task = load_run_task(run)
    assert task is not None
    dev = task.splits["validation"]
    few = [i for i, label in enumerate(dev.labels or ()) if label == 0 or i % 8 == 1]
    uneven = Split([dev.texts[i] for i in few], [(dev.labels or ())[i] for i in few])
    task = replace(task, splits=dict(task.splits) | {"validation": uneven})
    known = dict(enumerate(task.labels))
    model = BertForSequenceClassification.from_pretrained(run.teacher)
    model.config.id2label = known
    model.config.label2id = {name: i for i, name in known.items()}
    shutil.copytree(run.teacher, tmp_path / "a")
    model.save_pretrained(tmp_path / "a")
    flipped = other_way_round(tmp_path / "a", tmp_path / "b")
    scores = []
    for folder in (tmp_path / "a", flipped):
        made = export(str(folder), graph="plain", task=task, threads=1)
        found = bench([folder], **QUICK | {"torch": True}, task=task)
        scores += [made.models["model"].score, *(row.score for row in found.scores)]
    assert len(scores) == 6 and scores == pytest.approx([scores[0]] * 6)
    assert scores[0] != pytest.approx(50)


def test_labels_of_other_names_are_taken_by_their_numbers_and_told(
    caplog: pytest.LogCaptureFixture, reviews: Path
) -> None:
    task = load_task(TaskConfig(name="sst2", data=str(reviews)))
    assert as_numbered(task, {"id2label": {"0": "neg", "1": "pos"}}, "m") is task
    assert "neg is negative, pos is positive" in caplog.text
    caplog.clear()
    for names in ({"0": "LABEL_0", "1": "LABEL_1"}, {"0": "NEGATIVE", "1": "POSITIVE"}, {}):
        assert as_numbered(task, {"id2label": names}, "m") is task
    assert caplog.text == ""


def test_a_score_of_some_rows_says_so(run: RunDir) -> None:
    found = bench([run.root], **QUICK, score_rows=8)
    assert {(row.rows, row.rows_in_all) for row in found.scores} == {(8, 64)}
    assert "accuracy, first 8 of 64 rows" in run.report_md.read_text(encoding="utf-8")
    bench([run.root], **QUICK)
    assert "first 8" not in run.report_md.read_text(encoding="utf-8")


@pytest.mark.parametrize("limited", ["positions", "tokenizer"])
def test_rows_are_cut_at_what_models_take(
    run: RunDir,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limited: str,
) -> None:
    longest = []
    score = measure.score_model

    def scored(worker: Any, model: Any, dev: DevSet) -> ScoreRow:
        longest.append(max(map(len, dev.rows.input_ids)))
        return score(worker, model, dev)

    monkeypatch.setattr(measure, "score_model", scored)
    task = load_run_task(run)
    assert task is not None
    dev = task.splits["validation"]
    texts = [("good film " * 100,), *dev.texts[1:]]
    splits = dict(task.splits) | {"validation": Split(texts, dev.labels)}
    long = replace(task, max_length=4096, splits=splits)
    shutil.copytree(run.onnx, tmp_path / "onnx")
    settings = tmp_path / "onnx" / "tokenizer_config.json"
    own = read_json(settings) | {"model_max_length": 1e30 if limited == "positions" else 24}
    write_json(settings, own)
    found = bench([tmp_path / "onnx" / "model.onnx"], **QUICK, task=long)
    assert found.scores[0].rows == 64
    most = 48 if limited == "positions" else 24
    assert longest == [most]
    assert f"Rows of sst2 are cut at {most} tokens" in caplog.text


def test_a_run_that_cannot_be_written_is_benchmarked_all_the_same(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_only(self: BenchResult, path: Path) -> None:
        raise CofiError(f"Cannot write {path}: Read-only file system.", exit_code=UNREACHABLE)

    monkeypatch.setattr(BenchResult, "write", read_only)
    assert bench([run.root], **QUICK, score=False).cases
    assert "The run keeps no record of this benchmark: Cannot write" in caplog.text


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 0.0])
def test_seconds_without_end(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(CofiError, match=r"max_seconds is .*; it should be .*(number|greater)"):
        bench([save_onnx(tmp_path / "a.onnx")], **QUICK, max_seconds=seconds)
