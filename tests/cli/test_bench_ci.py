"""cofi bench in continuous integration: files, exit codes, the action and the example workflow."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cofi_cli.cli.main import app
from cofi_cli.errors import GATE, UNREACHABLE, USAGE
from cofi_cli.runs import atomic, read_json, write_json
from cofi_cli.runs.atomic import put_in_place
from cofi_cli.runtime.disturbance import BUSY, Watch
from tests.cli.conftest import Cofi
from tests.records import bench_result
from tests.tiny_onnx import save_onnx, save_run

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / "docs/workflow.yml").read_text(encoding="utf-8"))
ONE_CASE = ("--batch", "1", "--seq-len", "8", "--threads", "1")
QUICK = (*ONE_CASE, "--runs", "5", "--min-seconds", "0", "--quiet")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A slow and a fast file in the command's folder."""
    slow = save_onnx(tmp_path / "slow.onnx", work=200)
    return slow, save_onnx(tmp_path / "fast.onnx")


def test_what_a_benchmark_leaves_for_ci(
    cofi: Cofi, tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = cofi("bench", "slow.onnx", "fast.onnx", *QUICK, "-o", "out/bench.json", "--ci-dir", "ci")
    assert done.code == 0, done.err
    assert {p.name for p in (tmp_path / "ci").iterdir()} == {
        "smaller-is-better.json",
        "bigger-is-better.json",
    }
    assert read_json(tmp_path / "ci" / "smaller-is-better.json")[1]["name"] == "fast b1-s8 p50"
    words = summary.read_text(encoding="utf-8")
    assert words.startswith("before\n## cofi bench slow.onnx fast.onnx\n")
    assert "### Latency" in words and "| fast | fp32 | 1 | 8 |" in words
    assert read_json(tmp_path / "out" / "bench.json")["headline"][0]["vs"] == "slow"

    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    old = read_json(tmp_path / "out" / "bench.json")
    for row in old["cases"]:
        row["samples_ms"] = [[run / 50 for run in turn] for turn in row["samples_ms"]]
        row["p50_ms"] /= 50
    write_json(tmp_path / "old.json", old)
    flags = ("--compare", "old.json", "--fail-if", "p50>+5%", "--fail-if", "size>+1%")
    gated = cofi("bench", "slow.onnx", "fast.onnx", *QUICK, *flags, "--json", "--ci-dir", "new")
    assert gated.code == GATE
    assert "Gate failed: p50 of slow b1-s8 changed by +" in gated.err
    assert "'p50>+5%' allows +5%" in gated.err and "size" not in gated.err
    assert (tmp_path / "new" / "smaller-is-better.json").exists(), "written before it fails"
    gates = json.loads(gated.out)["gates"]
    assert [(g["expression"], g["model"], g["passed"]) for g in gates] == [
        ("p50>+5%", "slow", False),
        ("p50>+5%", "fast", False),
        ("size>+1%", "slow", True),
        ("size>+1%", "fast", True),
    ]


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        (
            ("--compare", "x.json", "--fail-if", "p50>5%"),
            ("--fail-if is 'p50>5%'", "+5 or -5", '--fail-if "score<-0.5"'),
        ),
        (("--fail-if", "p50>+5%"), ("needs an earlier result", "--compare old/bench.json")),
        (("--compare", "x.json", "--fail-if", "p5>+5%"), ("Did you mean 'p50'?",)),
        (("--seq-len", "8,tusk"), ("seq_len[1] is 'tusk' (--seq-len)", "Did you mean 'task'")),
        (("--seq-len", "8,task"), ("seq_len is 'task'", "--seq-len 64,128")),
        (("--min-seconds", "40"), ("min_seconds is 40", "max_seconds, which is 30")),
        (("--ci-dir", "fast.onnx"), ("--ci-dir is 'fast.onnx', which is a file",)),
        (("-o", "."), ("--output is '.', which is a folder", "bench.json")),
        (("--torch",), ("--torch times the checkpoints of a run",)),
        (("--gate-model", "fats"), ("Unknown gate model 'fats'. Did you mean 'fast'?",)),
    ],
)
def test_bad_input(
    cofi: Cofi, files: tuple[Path, Path], flags: tuple[str, ...], texts: tuple[str, ...]
) -> None:
    bench_result().write(Path("x.json"))
    done = cofi("bench", "fast.onnx", *flags)
    assert done.code == USAGE
    assert [text for text in texts if text not in done.err] == [], done.err
    assert done.out == "" and "Traceback" not in done.err


@pytest.mark.parametrize("flags", [("-o", "fast.onnx/x.json"), ("--ci-dir", "fast.onnx/ci")])
def test_places_that_cannot_be_written_are_told_before_timing(
    cofi: Cofi, files: tuple[Path, Path], flags: tuple[str, str]
) -> None:
    done = cofi("bench", "fast.onnx", *flags)
    assert done.code == UNREACHABLE and "fast.onnx is a file" in done.err


def flags_of(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def known_flags() -> set[str]:
    command = typer.main.get_command(app).commands["bench"]  # type: ignore[attr-defined]
    found: set[str] = set()
    for parameter in command.params:
        found |= {*parameter.opts, *parameter.secondary_opts}
    return found


def script() -> str:
    (step,) = [step for step in ACTION["runs"]["steps"] if step.get("id") == "bench"]
    assert step["shell"] == "bash"
    text: str = step["run"]
    return text


def test_every_flag_in_action_workflow_and_page_exists(cofi: Cofi) -> None:
    known = known_flags()
    assert {"--compare", "--fail-if", "--ci-dir", "--torch"} <= known
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    workflow = (ROOT / "docs" / "workflow.yml").read_text(encoding="utf-8")
    for text in (script(), page, workflow):
        assert flags_of(text) and flags_of(text) - known == set()
    shown = cofi("bench", "--help").out
    assert [flag for flag in flags_of(script()) if flag not in shown] == []


def test_the_action_uses_every_input_and_names_no_other() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"inputs\.([a-z-]+)", text))
    assert used == set(ACTION["inputs"])
    assert all("description" in value for value in ACTION["inputs"].values())
    for step in ACTION["runs"]["steps"]:
        body = step.get("run", "")
        assert "${{" not in body, "inputs are data, never part of a script"
        own = set(re.findall(r"\$\{?([A-Z_]+)", body)) - {"GITHUB_OUTPUT", "GITHUB_ACTION_PATH"}
        assert own == set(step.get("env", {})), "every variable is set and used"
    outputs = {value["value"] for value in ACTION["outputs"].values()}
    assert outputs == {f"${{{{ steps.bench.outputs.{name} }}}}" for name in ACTION["outputs"]}
    assert set(re.findall(r'echo "([a-z-]+)=', script())) == set(ACTION["outputs"])


def uses(node: Any) -> list[dict[str, Any]]:
    """Return every step that uses an action, wherever it stands."""
    if isinstance(node, list):
        return [step for one in node for step in uses(one)]
    if not isinstance(node, dict):
        return []
    own = [node] if "uses" in node else []
    return own + [step for one in node.values() for step in uses(one)]


def test_workflow_and_page_pass_what_the_action_takes() -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    steps = [step for step in uses([WORKFLOW, blocks]) if step["uses"].startswith("OWNER/cofi")]
    assert len(steps) == 2
    for step in steps:
        assert set(step["with"]) <= set(ACTION["inputs"])
        required = {name for name, value in ACTION["inputs"].items() if value.get("required")}
        assert required <= set(step["with"])
    assert True in WORKFLOW, "YAML reads the key on as true"
    ids = {step["id"] for step in ACTION["runs"]["steps"] if "id" in step}
    assert ids == {"bench"}


def test_the_workflow_charts_the_files_that_are_written() -> None:
    steps = [step for step in uses(WORKFLOW) if "github-action-benchmark" in step["uses"]]
    assert {(s["with"]["tool"], s["with"]["output-file-path"]) for s in steps} == {
        ("customSmallerIsBetter", "cofi-ci/smaller-is-better.json"),
        ("customBiggerIsBetter", "cofi-ci/bigger-is-better.json"),
    }
    assert ACTION["inputs"]["ci-dir"]["default"] == "cofi-ci"
    assert ACTION["inputs"]["output"]["default"] == "bench.json"


def act(folder: Path, **inputs: str) -> tuple[int, dict[str, str], str]:
    """Run the action's own step as the service would; return code, outputs, and what it said."""
    (step,) = [step for step in ACTION["runs"]["steps"] if step.get("id") == "bench"]
    shim = folder / "bin" / "cofi"
    shim.parent.mkdir(exist_ok=True)
    shim.write_text(f"#!{sys.executable}\n{QUIET_COFI}", encoding="utf-8")
    shim.chmod(0o755)
    outputs = folder / "outputs"
    outputs.unlink(missing_ok=True)
    values = {name: str(value.get("default", "")) for name, value in ACTION["inputs"].items()}
    values |= {name.replace("_", "-"): value for name, value in inputs.items()}
    env = {
        name: values[re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", text)[1]]  # type: ignore[index]
        for name, text in step["env"].items()
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder,
        env=os.environ
        | {"PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        | {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
        | env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    pairs = outputs.read_text(encoding="utf-8").splitlines() if outputs.exists() else []
    return done.returncode, dict(line.split("=", 1) for line in pairs), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("install", "asked"),
    [
        ("", ["/the action"]),
        ("  \n", ["/the action"]),
        ("cofi-cli[demo]==0.1.0", ["cofi-cli[demo]==0.1.0"]),
        ("cofi-cli @ git+https://host/cofi", ["cofi-cli @ git+https://host/cofi"]),
        ("\n  -r\n my requirements.txt\n\n--no-deps", ["-r", "my requirements.txt", "--no-deps"]),
        ("$(touch hacked)", ["$(touch hacked)"]),
    ],
)
def test_the_action_installs_what_it_is_given(
    tmp_path: Path, install: str, asked: list[str]
) -> None:
    (step,) = [step for step in ACTION["runs"]["steps"] if step["name"] == "Install cofi"]
    shim = tmp_path / "bin" / "python"
    shim.parent.mkdir()
    shim.write_text('#!/bin/sh\nprintf "%s\\n" "$@" END >> calls\n', encoding="utf-8")
    shim.chmod(0o755)
    given = {"INSTALL": install, "PROVIDER": "cpu", "GITHUB_ACTION_PATH": "/the action"}
    subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"} | given,
        check=True,
    )
    calls = (tmp_path / "calls").read_text(encoding="utf-8").split("END\n")
    assert calls[-2].splitlines() == ["-m", "pip", "install", *asked]
    assert not (tmp_path / "hacked").exists()


QUIET_COFI = """
import sys
from cofi_cli.cli.main import run
from cofi_cli.runtime import disturbance
disturbance.TASKS = "/no/task/{pid}"
sys.exit(run(sys.argv[1:]))
"""
"""``cofi`` on a machine that is never busy."""

SMALL = {"batch": "1", "seq_len": "8", "runs": "5", "min_seconds": "0", "threads": "1"}


def test_the_action_benchmarks_and_compares(tmp_path: Path, files: tuple[Path, Path]) -> None:
    two = "\n  slow.onnx\n\n  fast.onnx  \n"
    first = {"compare": "base/bench.json", "fail_if": "p50>+5%\n\nsize>+1%\n"}
    code, outputs, said = act(tmp_path, target=two, **SMALL, **first, min_speedup="1.5")
    assert code == 0, said
    assert "::notice::base/bench.json is not there" in said
    assert outputs == {
        "json": "bench.json",
        "ci-dir": "cofi-ci",
        "passed": "true",
        "exit-code": "0",
    }
    values = read_json(tmp_path / "bench.json")
    assert [m["name"] for m in values["models"]] == ["slow", "fast"]
    assert [g["name"] for g in values["gates"]] == ["min_speedup"]
    assert (tmp_path / "cofi-ci" / "smaller-is-better.json").exists()
    assert "All gates passed." in (tmp_path / "summary.md").read_text(encoding="utf-8")

    values["models"][1]["bytes"] -= 500
    write_json(tmp_path / "base" / "bench.json", values)
    code, outputs, said = act(
        tmp_path,
        target=two,
        **SMALL,
        **first | {"fail_if": "size>+0%"},
        args="--no-score\n--quiet --warmup\t7\n\n",
    )
    assert code == GATE, said
    assert (outputs["passed"], outputs["exit-code"]) == ("false", "3")
    assert read_json(tmp_path / "bench.json")["env"]["warmup"] == 7, "of the second line"
    assert "size of fast changed by" in said


def test_what_the_action_is_given_is_data(tmp_path: Path, files: tuple[Path, Path]) -> None:
    hostile = '$(touch hacked) `touch hacked`"; touch hacked #'
    code, outputs, said = act(tmp_path, target=hostile, **SMALL)
    assert code == 6 and "does not exist" in said
    assert outputs["passed"] == "false"
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("content", ["[]", "{"])
def test_a_broken_report_costs_no_table(
    cofi: Cofi, bert_folder: Path, reviews: Path, tmp_path: Path, content: str
) -> None:
    run = save_run(tmp_path / "run", bert_folder, reviews)
    run.report_json.write_text(content, encoding="utf-8")
    done = cofi("bench", "run", "--no-score", "--no-torch", *QUICK)
    assert done.code == 0 and "Latency" in done.out and "Traceback" not in done.err
    assert "report is not drawn again" in done.err


def test_a_record_that_cannot_be_written_fails_after_the_results_are_shown(
    cofi: Cofi,
    bert_folder: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = save_run(tmp_path / "run", bert_folder, reviews)

    def full(temporary: Path, place: Path) -> None:
        if place == run.bench:
            raise OSError(errno.ENOSPC, "No space left on device")
        put_in_place(temporary, place)

    monkeypatch.setattr(atomic, "put_in_place", full)
    done = cofi("bench", "run", "--no-score", "--no-torch", *QUICK, "-o", "mine.json")
    assert done.code == UNREACHABLE and "Latency" in done.out
    assert "The run keeps no record of this benchmark: No space left" in done.err
    assert (tmp_path / "mine.json").exists() and not run.bench.exists()


def test_a_busy_machine_says_so_everywhere_and_keeps_the_earlier_result(
    cofi: Cofi,
    tmp_path: Path,
    bert_folder: Path,
    reviews: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = save_run(tmp_path / "run", bert_folder, reviews)
    assert cofi("bench", "run", *QUICK, "--no-torch", "--no-score").code == 0
    good, report = run.bench.read_bytes(), run.report_md.read_bytes()

    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setattr(Watch, "is_disturbed", lambda *_: True)
    flags = ("--no-torch", "--no-score", "-o", "now.json", "--ci-dir", "ci")
    done = cofi("bench", "run", *QUICK, *flags)
    assert done.code == 0, done.err
    assert BUSY in " ".join(done.out.split()) and "(95 % interval)" in " ".join(done.out.split())
    assert "x (" not in done.out, "no speedup"
    assert f"| all | - | 1 | 8 | - | - | - | - | - | {BUSY} |" in summary.read_text("utf-8")
    values = read_json(tmp_path / "now.json")
    assert [row["reason"] for row in values["unmeasured"]] == [BUSY]
    assert values["cases"] == values["speedups"] == values["headline"] == []
    assert (run.bench.read_bytes(), run.report_md.read_bytes()) == (good, report)
    assert "keeps its earlier benchmark, which has b1-s8" in done.err

    gates = ("--min-speedup", "0.001", "--compare", "run", "--fail-if", "p50>+1000%")
    gated = cofi("bench", "run", *QUICK, "--no-torch", *gates)
    assert gated.code == GATE
    assert f"'min_speedup 0.001' cannot be judged, case b1-s8 is {BUSY}" in gated.err
    assert f"'p50>+1000%' cannot be judged, case b1-s8 is {BUSY}" in gated.err

    run.bench.unlink()
    assert cofi("bench", "run", *QUICK, "--no-torch", "--no-score").code == 0
    assert BUSY in run.report_md.read_text("utf-8") and BUSY in run.bench.read_text("utf-8")
    monkeypatch.undo()
    assert cofi("bench", str(run.root), *QUICK, "--no-torch", "--no-score").code == 0
    assert BUSY not in run.report_md.read_text("utf-8")
