"""``--speedup X --table FILE``: one target, wherever it is stated."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from cofi_cli.cli.folders import run_name
from cofi_cli.cli.given import build_config
from cofi_cli.cli.next_step import next_step
from cofi_cli.config import FAMILY, RunConfig
from cofi_cli.errors import GATE, UNREACHABLE, USAGE
from cofi_cli.format import speed_words
from cofi_cli.runs import RunDir, write_text
from cofi_cli.runs.records import (
    Chosen,
    LatencySetting,
    LatencyTarget,
    MeasuredPlan,
    RunReport,
    SizeRow,
)
from tests.cli.conftest import Cofi
from tests.latency_tables import made_up_table, save_table
from tests.records import run_report


@pytest.fixture
def arguments(bert_folder: Path, reviews: Path) -> tuple[Any, ...]:
    short = ("--max-length", "16")
    return ("prune", bert_folder, "--task", "sst2", "--data", reviews, *short, "--dry-run")


def test_a_speedup_takes_the_place_of_a_presets_sparsity(
    cofi: Cofi, arguments: tuple[Any, ...], tmp_path: Path
) -> None:
    save_table(tmp_path / "table.json")
    done = cofi(*arguments, "--speedup", "3", "--table", "table.json", "--json")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    asked = plan["config"]["prune"]
    assert (asked["sparsity"], asked["speedup"], asked["table"]) == (None, 3.0, "table.json")
    assert plan["reachable_sparsity"] is None and plan["reachable_speedup"][1] > 3
    assert plan["output"].endswith("-3x")
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump(plan["config"]), encoding="utf-8")
    back = build_config(
        {"sparsity": "0.5"}, preset=None, config=config, overrides=None, announce=lambda _: None
    ).prune
    assert (back.sparsity, back.speedup, back.table) == (0.5, None, None)
    shown = cofi("prune", "--config", config, "--dry-run")
    assert "reachable speedup" in shown.out and ", by the table" in shown.out


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        (
            ("--speedup", "0.5", "--table", "t.json"),
            (
                "prune.speedup is 0.5 (--speedup); it should be greater than or equal to 1",
                "Hint: Times as fast",
            ),
        ),
        (
            ("--speedup", "3", "--sparsity", "0.9"),
            ("Two targets: --sparsity 0.9 and --speedup 3", "Give one of them"),
        ),
        (
            ("--speedup", "3", "--set", "prune.sparsity=0.9"),
            ("Two targets: --set prune.sparsity 0.9 and --speedup 3",),
        ),
        (
            ("--speedup", "3", "--latency", "5ms", "--sparsity", "0.5"),
            ("Three targets: --sparsity 0.5 and --speedup 3 and --latency 5ms",),
        ),
        (
            ("--latency", "5"),
            ("prune.latency is 5 (--latency); it should match", "Time of a call, such as 5ms"),
        ),
        (("--latency", "0ms"), ("latency is 0; give a time above it, such as 5ms",)),
        (("--table", "t.json"), ("table is given without a speed; give both: --speedup X",)),
        (("--set", "prune.sparsity=null"), ("no target is given; set sparsity, speedup or",)),
        (
            ("--latency", "5ms,9ms"),
            ("sizes 5ms, 9ms do not descend; give them from the largest model", "20ms,10ms"),
        ),
        (("--latency", "9ms,5"), ("prune.latency is 5 (--latency)", "Time of a call, such")),
        (
            ("--sparsity", "0.5", "--batch", "8"),
            ("--batch describes the case of a target speed, but there is none", "--latency 5ms"),
        ),
        (
            ("--sparsity", "0.8,0.6"),
            ("sizes 0.8, 0.6 do not ascend; give them from the largest model to the smallest",),
        ),
        (("--sparsity", "0.6,0.8,0.8"), ("sizes 0.6, 0.8, 0.8 do not ascend",)),
        (("--sparsity", "0.6,x,0.8"), ("prune.milestones[1] is 'x' (--sparsity)",)),
        (("--speedup", "0.5,2"), ("sizes 0.5, 2 begin at 0.5; the first must be above 1",)),
        (("--max-drop", "-1"), ("prune.max_drop is -1 (--max-drop)",)),
        (("--speedup", "3", "--precision", "fp4"), ("case.precision is 'fp4' (--precision)",)),
    ],
)
def test_targets_that_are_none(
    cofi: Cofi, arguments: tuple[Any, ...], flags: tuple[str, ...], texts: tuple[str, ...]
) -> None:
    done = cofi(*arguments, *flags)
    assert done.code == USAGE
    for text in texts:
        assert text in done.err.replace("\n", " ")


def test_two_targets_in_one_file(cofi: Cofi, tmp_path: Path, bert_folder: Path) -> None:
    both = {"sparsity": 0.5, "speedup": 2, "table": "t.json"}
    file = tmp_path / "both.yaml"
    file.write_text(yaml.safe_dump({"model": str(bert_folder), "prune": both}), encoding="utf-8")
    done = cofi("prune", "--config", file, "--task", "sst2", "--dry-run")
    assert done.code == USAGE and "sparsity and speedup are two targets" in done.err


def test_a_missing_table_and_a_speed_out_of_reach(
    cofi: Cofi, arguments: tuple[Any, ...], tmp_path: Path
) -> None:
    done = cofi(*arguments, "--speedup", "3", "--table", "none.json")
    assert done.code == UNREACHABLE and "Cannot read the latency table none.json" in done.err
    save_table(tmp_path / "table.json")
    done = cofi(*arguments, "--speedup", "99", "--table", "table.json")
    assert done.code == USAGE and "prune.speedup 99 cannot be reached" in done.err
    assert "the reachable range is 1 to" in done.err


def test_a_table_of_another_case(cofi: Cofi, arguments: tuple[Any, ...], tmp_path: Path) -> None:
    save_table(tmp_path / "table.json", batch=8, provider="cuda")
    own = ("--speedup", "3", "--table", "table.json")
    assert cofi(*arguments, *own).code == 0, "what is not said is as in the table"
    done = cofi(*arguments, *own, "--provider", "cpu", "--batch", "1", "--seq-len", "128")
    assert done.code == USAGE
    assert "table.json was measured in another case: provider cuda, not cpu; batch 8, not 1." in (
        done.err.replace("\n", " ")
    )


def test_a_latency_has_a_range_as_well(
    cofi: Cofi, arguments: tuple[Any, ...], tmp_path: Path
) -> None:
    save_table(tmp_path / "table.json")
    own = ("--table", "table.json", "--json")
    done = cofi(*arguments, "--latency", "5ms", *own)
    assert done.code == 0 and json.loads(done.out)["output"].endswith("-5ms")
    for asked in ("500ms", "2us"):
        done = cofi(*arguments, "--latency", asked, *own)
        assert done.code == USAGE
        assert f"prune.latency {asked} cannot be reached: by table.json" in done.err
        assert "the reachable range is" in done.err and done.err.count(" ms") >= 4


def test_several_sizes_on_the_command_line(cofi: Cofi, arguments: tuple[Any, ...]) -> None:
    done = cofi(*arguments, "--sparsity", "0.3,0.5,0.8", "--max-drop", "1.5", "--json")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    asked = plan["config"]["prune"]
    assert (asked["milestones"], asked["sparsity"], asked["max_drop"]) == ([0.3, 0.5], 0.8, 1.5)
    assert plan["output"].endswith("-0.3-to-0.8")
    steps = {stage["name"]: stage["steps"] for stage in plan["stages"]}
    one = json.loads(cofi(*arguments, "--sparsity", "0.8", "--json").out)["stages"]
    assert steps["recover"] == 3 * {stage["name"]: stage["steps"] for stage in one}["recover"]
    assert steps["prune"] == {stage["name"]: stage["steps"] for stage in one}["prune"]


def test_without_a_target_several_sizes_are_made(
    cofi: Cofi, arguments: tuple[Any, ...], tmp_path: Path
) -> None:
    def asked(*flags: str) -> tuple[Any, ...]:
        done = cofi(*arguments, *flags, "--json")
        assert done.code == 0, done.err
        prune = json.loads(done.out)["config"]["prune"]
        return (*prune["milestones"], prune["sparsity"], prune["max_drop"])

    assert asked() == (*FAMILY, 1.0)
    assert asked("--max-drop", "2") == (*FAMILY, 2.0)
    assert asked("--sparsity", "0.8") == (0.8, None), "one size, whatever it loses"
    assert asked("--max-drop", "2", "--sparsity", "0.8") == (0.8, 2.0)
    save_table(tmp_path / "table.json")
    assert asked("--speedup", "3", "--table", "table.json") == (None, None)


def test_several_latencies(cofi: Cofi, arguments: tuple[Any, ...], tmp_path: Path) -> None:
    save_table(tmp_path / "table.json")
    own = ("--table", "table.json", "--json")
    done = cofi(*arguments, "--latency", "8ms,5ms", *own)
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    asked = plan["config"]["prune"]
    assert (asked["milestones"], asked["latency"], asked["sparsity"]) == (["8ms"], "5ms", None)
    assert plan["output"].endswith("-8ms-to-5ms")
    done = cofi(*arguments, "--latency", "500ms,5ms", *own)
    assert done.code == USAGE and "prune.latency 500ms cannot be reached" in done.err


def test_a_drop_that_no_size_keeps_ends_with_its_own_code(
    cofi: Cofi, bert_folder: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = "No size loses at most 1 points of validation score: the nearest is 0.6"
    known = {"score": 80.0, "encoder_params": 9, "sparsity": 0.5}
    rows = [SizeRow(name=name, drop=drop, **known) for name, drop in (("0.6", 1.5), ("0.8", 3.0))]
    report = run_report(sizes=rows, chosen=Chosen(name="0.6", max_drop=1.0, missed=missed))

    def prune(config: RunConfig, run: RunDir, **_: object) -> RunReport:
        report.write(run.report_json)
        write_text(run.config, yaml.safe_dump(config.model_dump(mode="json")))
        return report

    monkeypatch.setattr("cofi_cli.training.prune", prune)
    own = ("--task", "sst2", "--data", reviews, "--sparsity", "0.6,0.8", "--max-drop", "1")
    done = cofi("prune", bert_folder, *own, "-o", "run")
    assert done.code == GATE and missed in done.err.replace("\n", " ") and "cofi pick" in done.err
    assert "chosen" in done.out and missed in Path("run/report.md").read_text()
    assert "next    cofi export run --all-sizes && cofi bench run --all-sizes" in done.out


def test_the_next_commands_have_the_case_of_the_speed_and_the_bytes(tmp_path: Path) -> None:
    table = made_up_table(precision="int8", batch=32, seq_len=64)
    setting = LatencySetting.model_validate(table.setting())
    case = " --provider cpu --batch 32 --threads 1 --seq-len 64"
    run = RunDir(tmp_path)
    write_text(run.config, "size: null\n")

    def step(**update: object) -> str:
        target = SimpleNamespace(setting=setting.model_copy(update=update))
        return next_step(SimpleNamespace(latency_target=target), run, all_sizes=False)  # type: ignore[arg-type]

    root = run.root
    assert step() == f"next    cofi export {root} --precision int8{case} && cofi bench {root}{case}"
    case = " --provider cpu --batch 32"
    other = {"precision": "fp32", "seq_len": "task", "threads": None}
    assert step(**other) == f"next    cofi export {root}{case} && cofi bench {root}{case}"
    write_text(run.config, "size: 5MB\n")
    case = " --provider cpu --batch 32 --threads 1 --seq-len 64"
    files = " --precision int8 --size 5MB"
    assert step() == f"next    cofi export {root}{files}{case} && cofi bench {root}{case}"
    found = next_step(SimpleNamespace(latency_target=None), run, all_sizes=True)  # type: ignore[arg-type]
    assert found == (
        f"next    cofi export {root} --all-sizes --size 5MB && cofi bench {root} --all-sizes"
    )


def test_a_speed_in_a_runs_name_and_words() -> None:
    config = RunConfig(model="bert", prune={"speedup": 2.5})
    assert run_name(config, command="prune") == "bert-task-2.5x"
    family = RunConfig(model="bert", prune={"speedup": 8, "milestones": [2, 4]})
    assert run_name(family, command="prune") == "bert-task-2-to-8x"
    target = LatencyTarget(
        speedup=8.0,
        seconds=None,
        expected_speedup=8.126,
        dense_seconds=0.00975,
        expected_seconds=0.0012,
        setting=made_up_table().setting(),
    )
    case = "(cpu, fp32, batch 1, 128 tokens, 1 thread)"
    assert speed_words(target) == (
        "asked 8 times the dense model's speed: 8.13 times (1.2 ms) expected by the latency table "
        f"{case}"
    )
    found = MeasuredPlan(
        seconds=0.0011,
        dense_seconds=0.0088,
        speedup=8.0,
        interval=(7.8, 8.2),
        expected_speedup=8.126,
    )
    changes = {"speedup": None, "seconds": 0.001, "measured": found}
    assert speed_words(target.model_copy(update=changes)) == (
        "asked 1 ms: 8.00 times (7.80 to 8.20) measured before recovery, 1.1 ms against 8.8 ms "
        f"{case}"
    )
