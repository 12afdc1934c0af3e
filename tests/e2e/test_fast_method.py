"""``prune.method: fast`` through the whole chain on tiny models: only the teacher is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import BertForSequenceClassification

from cofi_cli.errors import CofiError
from cofi_cli.runs import RunDir, read_json
from cofi_cli.training import dry_run, prune
from tests.tiny import bert_config, quick_config, save_bert
from tests.tiny_embedder import save_embedder, save_texts

FAST = {"method": "fast", "sparsity": 0.5}


def test_a_preview_prunes_the_teacher_itself(
    bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    config = quick_config(bert_folder, reviews, prune=FAST | {"milestones": (0.3,)})
    run = RunDir(tmp_path / "run")
    report = prune(config, run)
    assert set(report.stages) == {"teacher", "prune"} and report.stages["prune"].steps == 0
    assert 0.5 <= report.sparsity.realised < 0.53
    assert report.parity.masked_vs_compact < 1e-4
    assert report.structure.hidden == bert_config().hidden_size, "hidden dims all stay"
    assert report.constant is not None and report.model.score > report.constant.score + 10
    assert [row["name"] for row in read_json(run.report_json)["sizes"]] == ["0.3", "0.5"]
    assert prune(config, run, resume=True) == report
    assert [stage["name"] for stage in dry_run(config)["stages"]] == ["teacher"]


def test_an_embedder_can_be_previewed(tmp_path: Path) -> None:
    model = save_embedder(tmp_path / "model")
    texts, pairs = save_texts(tmp_path / "data")
    own = {"kind": "embedding", "train": str(texts), "validation": str(pairs), "max_length": 24}
    base = quick_config(model, tmp_path / "data", prune=FAST | {"sparsity": 0.3})
    report = prune(base.model_validate(base.model_dump() | {"task": own}), RunDir(tmp_path / "run"))
    assert set(report.stages) == {"prune"}
    assert report.model.score > report.teacher.score - 30


def test_a_teacher_of_another_shape_is_refused(
    bert_folder: Path, reviews: Path, tmp_path: Path
) -> None:
    other = save_bert(tmp_path / "other")
    config = quick_config(bert_folder, reviews, prune=FAST, teacher={"path": str(other)})
    narrow = bert_config(hidden_size=8, num_labels=2)
    BertForSequenceClassification(narrow).save_pretrained(other)
    with pytest.raises(CofiError, match=r"does not fit .* hidden"):
        prune(config, RunDir(tmp_path / "run"))
