"""Where a student starts: as its teacher, or as the pretrained model."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from cofi_cli.architectures import load_dense
from cofi_cli.training.teacher import obtain as module
from tests.tiny import quick_config, save_bert


@pytest.mark.parametrize(
    ("init", "is_other", "is_teacher"),
    [
        ("auto", False, True),
        ("auto", True, False),
        ("teacher", True, True),
        ("pretrained", False, False),
    ],
)
def test_the_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    init: str,
    is_other: bool,
    is_teacher: bool,
) -> None:
    own, theirs = save_bert(tmp_path / "own"), save_bert(tmp_path / "theirs", seed=1)
    teacher = load_dense(str(theirs), num_labels=2)
    if is_other:
        teacher.config.layer_ffn = [n - 1 for n in teacher.config.layer_ffn]
    session = SimpleNamespace(
        config=quick_config(own, tmp_path, prune={"student_init": init}),
        run=SimpleNamespace(teacher=theirs),
        task=SimpleNamespace(kind=SimpleNamespace(head="sequence")),
    )
    opened: list[str] = []

    def load(_: object, name: str) -> object:
        opened.append(name)
        return load_dense(name, num_labels=2)

    monkeypatch.setattr(module, "load_for_task", load)
    module.make_student(session, teacher)  # type: ignore[arg-type]
    assert opened == [str(theirs if is_teacher else own)], "and only one of them is loaded"
