"""A sentence embedder through the whole chain, on a tiny model: prune, open, export, bench."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from transformers import AutoModel

import cofi_cli.auto  # noqa: F401  (registers the model type)
from cofi_cli import bench, export
from cofi_cli.architectures import embedder_tokenizer, load_dense
from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir
from cofi_cli.runs.records import RunReport
from cofi_cli.runtime.timing import Schedule
from cofi_cli.training import dry_run, finetune, prune
from tests.tiny import quick_config
from tests.tiny_embedder import WIDTH, save_embedder, save_texts, sentences

TANH = "torch.nn.modules.activation.Tanh"
TEXTS = sentences(7, seed=9)
FAST = Schedule(runs=2, warmup=1, rounds=2)
HIDE = (
    "import sys\n"
    "class Hidden:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.partition('.')[0] == 'cofi_cli':\n"
    "            raise ModuleNotFoundError(name)\n"
    "sys.meta_path.insert(0, Hidden())\n"
)


def made_config(model: Path, data: Path, **task: Any) -> RunConfig:
    texts, pairs = save_texts(data)
    base = quick_config(model, data, prune={"epochs": 4, "dense_epochs": 0})
    own = {"kind": "embedding", "train": str(texts), "validation": str(pairs), "max_length": 24}
    return RunConfig.model_validate(base.model_dump() | {"task": own | task})


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    root = tmp_path_factory.mktemp("embedder")
    return made_config(save_embedder(root / "model"), root / "data")


@pytest.fixture(scope="module")
def run(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    made = RunDir(tmp_path_factory.mktemp("embedding") / "run")
    prune(config, made)
    return made


@pytest.fixture(scope="module")
def exported(run: RunDir) -> dict[str, Any]:
    return export(run.root, precision="int8", graph="plain", schedule=FAST, max_drop=100.0)


def ours(folder: Path) -> np.ndarray:
    """Embed through our own classes."""
    model = load_dense(str(folder), num_labels=1, head="embedding").eval()
    inputs = dict(embedder_tokenizer(str(folder))(TEXTS, padding=True, return_tensors="pt"))
    with torch.no_grad():
        return np.asarray(model.run(**inputs).logits)


def test_no_label_is_read_and_no_teacher_trained(config: RunConfig, run: RunDir) -> None:
    plan = dry_run(config)
    assert [stage["name"] for stage in plan["stages"]] == ["prune", "recover"]
    report = RunReport.read(run.report_json)
    assert list(report.stages) == ["prune", "recover"]
    assert (report.metric, report.kind) == ("spearman", "embedding")
    assert set(report.model.scores["validation"]) == {"spearman", "pearson"}
    assert report.parity.masked_vs_compact <= 1e-5
    assert report.sparsity.realised >= 0.599


def test_the_embeddings_come_near_the_teachers(config: RunConfig, run: RunDir) -> None:
    before = (ours(Path(config.model)) * ours(run.model)).sum(1)
    assert before.mean() > 0.9, "of random vectors it would be about 0"


def test_the_teacher_is_the_model_as_it_was(config: RunConfig, run: RunDir) -> None:
    library = pytest.importorskip("sentence_transformers")
    vectors = [
        library.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
        for folder in (config.model, run.teacher)
    ]
    np.testing.assert_array_equal(*vectors)
    np.testing.assert_allclose(ours(run.teacher), vectors[0], atol=1e-5)


def test_the_pruned_folder_opens_with_sentence_transformers(run: RunDir) -> None:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(run.model), device="cpu")
    vectors = model.encode(TEXTS)
    np.testing.assert_allclose(vectors, ours(run.model), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors.shape == (7, 16), "the teacher's width, whatever was pruned"
    assert model[0].auto_model.config.hidden_size < 16
    assert model.max_seq_length == 32 and model.prompts["query"] == "the "


def test_transformers_gives_the_same_embedding(run: RunDir) -> None:
    inputs = dict(embedder_tokenizer(str(run.model))(TEXTS, padding=True, return_tensors="pt"))
    with torch.no_grad():
        out = AutoModel.from_pretrained(run.model).eval()(**inputs)
    np.testing.assert_allclose(out.pooler_output, ours(run.model), atol=1e-5)


def _code(card: Path) -> str:
    return card.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]


@pytest.mark.slow
def test_the_model_cards_example_runs_with_and_without_cofi(run: RunDir) -> None:
    pytest.importorskip("sentence_transformers")
    card = run.model / "README.md"
    text = card.read_text(encoding="utf-8")
    assert "pipeline_tag: sentence-similarity" in text
    assert "library_name: sentence-transformers" in text
    names: dict[str, Any] = {}
    exec(_code(card).replace('"PATH"', repr(str(run.model))), names)
    trusting = _code(card).replace('"PATH"', f"{str(run.model)!r}, trust_remote_code=True")
    code = f"{HIDE}{trusting.replace('import cofi_cli.auto', '')}\nprint(float(similarity))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=170,
        env={**os.environ, "HF_MODULES_CACHE": str(run.root / "modules")},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) == pytest.approx(float(names["similarity"]), abs=1e-5)


def test_the_graph_pools_and_normalises(run: RunDir, exported: dict[str, Any]) -> None:
    inputs = dict(embedder_tokenizer(str(run.model))(TEXTS, padding=True, return_tensors="np"))
    for name, folder in (("model", run.model), ("dense", run.teacher)):
        session = InferenceSession(str(run.onnx / f"{name}.onnx"))
        outputs = [output.name for output in session.get_outputs()]
        assert outputs == ["last_hidden_state", "sentence_embedding"]
        tokens, vectors = session.run(outputs, {k: inputs[k] for k in exported.inputs})
        np.testing.assert_allclose(vectors, ours(folder), atol=1e-5)
        assert tokens.shape[:2] == inputs["input_ids"].shape
    assert exported.head == "embedding"


def test_int8_is_scored_by_spearman(exported: dict[str, Any]) -> None:
    rows = exported.models
    assert {row.metric for row in rows.values()} == {"spearman"}
    assert abs(rows["model_int8"].score - rows["model"].score) < 50
    assert rows["model"].score == pytest.approx(
        RunReport.read(Path(exported.folder).parent / "report.json").model.score, abs=0.2
    )


def test_the_onnx_cards_example_runs(
    run: RunDir, exported: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.onnx)
    names: dict[str, Any] = {}
    exec(_code(run.onnx / "README.md"), names)
    assert names["vectors"].shape == (2, 16)
    assert -1.0001 <= names["similarity"] <= 1.0001
    assert "`sentence_embedding`, (batch, width)" in Path("README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_dense_and_pruned_are_timed_and_scored_in_onnx_and_torch(
    run: RunDir, exported: dict[str, Any]
) -> None:
    result = bench(
        [run.root], batch=(4,), seq_len=("task",), threads=1, runs=3, warmup=1, torch=True
    )
    scores = {row.model: row.score for row in result.scores}
    report = RunReport.read(run.report_json)
    assert scores["dense"] == pytest.approx(report.teacher.score, abs=0.2)
    assert scores["model"] == pytest.approx(report.model.score, abs=0.2)
    assert any("torch" in str(case) for case in result.cases)


def test_a_compact_embedder_learns_on_from_its_teacher(
    config: RunConfig, run: RunDir, tmp_path: Path
) -> None:
    changed = config.model_dump() | {"model": str(run.model)}
    changed["teacher"] = changed["teacher"] | {"path": str(run.teacher)}
    more = RunDir(tmp_path / "more")
    report = finetune(RunConfig.model_validate(changed), more)
    assert report.model.score >= report.before["spearman"]
    assert (more.model / "2_Dense" / "model.safetensors").exists()
    assert ours(more.model).shape == (7, 16)


def test_labels_cannot_weigh_where_there_are_none(config: RunConfig, tmp_path: Path) -> None:
    values = config.model_dump() | {"distill": config.distill.model_dump() | {"label_weight": 0.5}}
    with pytest.raises(CofiError, match=r"label_weight is 0\.5, but the training"):
        prune(RunConfig.model_validate(values), RunDir(tmp_path / "no"))


def test_an_embedder_is_not_trained_on_labels(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(CofiError, match="Kind embedding learns from a teacher's vectors") as caught:
        finetune(config, RunDir(tmp_path / "no"))
    assert "cofi prune" in (caught.value.hint or "")


def test_a_bare_encoder_has_to_say_how_it_pools(
    config: RunConfig, bert_folder: Path, tmp_path: Path
) -> None:
    changed = RunConfig.model_validate(config.model_dump() | {"model": str(bert_folder)})
    for refused in (lambda: dry_run(changed), lambda: prune(changed, RunDir(tmp_path / "no"))):
        with pytest.raises(CofiError, match="is not a sentence-transformers model") as caught:
            refused()
        assert "save_pretrained('DIR')" in (caught.value.hint or "")


def test_a_teacher_must_fit(config: RunConfig, tmp_path: Path) -> None:
    other = save_embedder(tmp_path / "other", dense=TANH)
    changed = config.model_dump()
    changed["teacher"] = changed["teacher"] | {"path": str(other)}
    with pytest.raises(CofiError, match=f"vector width {WIDTH} against the model's 16"):
        dry_run(RunConfig.model_validate(changed))
    changed["teacher"]["path"] = str(save_embedder(tmp_path / "same", seed=5))
    assert dry_run(RunConfig.model_validate(changed))["metric"] == "spearman"


def test_cls_pooling_a_narrow_dense_layer_and_held_out_texts(tmp_path: Path) -> None:
    """The other kind of embedder, without any rated pair."""
    model = save_embedder(tmp_path / "m", pooling="cls", dense=TANH, normalize=False)
    config = made_config(model, tmp_path / "data", validation=None)
    run = RunDir(tmp_path / "run")
    report = prune(config, run)
    assert report.metric == "agreement" and "held out" in report.note
    assert report.teacher.score == pytest.approx(100, abs=1e-3)
    assert 50 < report.model.score < 100
    for folder in (run.teacher, run.model):
        assert ours(folder).shape == (7, WIDTH)
        assert not np.allclose(np.linalg.norm(ours(folder), axis=1), 1, atol=0.01)
    library = pytest.importorskip("sentence_transformers")
    opened = library.SentenceTransformer(str(run.model), device="cpu")
    np.testing.assert_allclose(opened.encode(TEXTS), ours(run.model), atol=1e-5)
    inputs = dict(embedder_tokenizer(str(run.model))(TEXTS, padding=True, return_tensors="pt"))
    with torch.no_grad():
        out = AutoModel.from_pretrained(run.model).eval()(**inputs)
    for graph in ("lean", "lean-fused"):
        exported = export(run.root, graph=graph, schedule=FAST)
        found = {name: row.score for name, row in exported.models.items()}
        assert found["dense"] == pytest.approx(100, abs=1e-2)
        assert found["model"] == pytest.approx(report.model.score, abs=1e-2)
        session = InferenceSession(str(run.onnx / "model.onnx"))
        feed = {k: inputs[k].numpy() for k in exported.inputs}
        tokens, vectors = session.run(["last_hidden_state", "sentence_embedding"], feed)
        np.testing.assert_allclose(vectors, ours(run.model), atol=1e-5)
        real = inputs["attention_mask"].numpy() == 1
        np.testing.assert_allclose(tokens[real], out.last_hidden_state.numpy()[real], atol=1e-4)
