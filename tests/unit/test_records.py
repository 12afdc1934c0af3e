"""Records: written and read back as they are; anything else is one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs.records import BenchResult, ExportRecord, Record
from tests.records import bench_result, environment, export_record, run_report


@pytest.mark.parametrize("make", [bench_result, environment, export_record, run_report])
def test_a_record_comes_back_as_it_was_written(tmp_path: Path, make: Any) -> None:
    record: Record = make()
    record.write(tmp_path / "it.json")
    values = json.loads((tmp_path / "it.json").read_text(encoding="utf-8"))
    assert values == record.as_json() and values["version"] == 1
    assert type(record).read(tmp_path / "it.json") == record


def refused(path: Path, content: str) -> CofiError:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CofiError) as caught:
        BenchResult.read(path)
    assert caught.value.exit_code == UNREACHABLE and str(path) in caught.value.message
    assert "cofi bench RUN --output bench.json" in str(caught.value.hint)
    return caught.value


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000])
def test_what_is_no_json(tmp_path: Path, content: str) -> None:
    error = refused(tmp_path / "bench.json", content)
    assert error.message.startswith(f"Cannot read {tmp_path / 'bench.json'}: Invalid JSON")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("version"), "version is missing"),
        (lambda v: v.update(version=2), "version is 2: "),
        (lambda v: v.pop("env"), "env is missing"),
        (lambda v: v.update(cases=None), "cases is None: "),
        (lambda v: v["env"].update(mood="good"), "the key env.mood is unknown"),
        (lambda v: v["models"][0].update(bytes="5"), "models[0].bytes is '5': "),
        (lambda v: v["cases"][1].update(p50_ms=float("nan")), "cases[1].p50_ms is nan: "),
        (lambda v: v["cases"][1].update(p50_ms=1e-320), "cases[1].p50_ms is 1e-320: "),
        (lambda v: v["cases"][1].update(throughput=True), "cases[1].throughput is True: "),
        (lambda v: v["cases"][1].update(samples_ms=[[0]]), "cases[1].samples_ms[0][0] is 0: "),
        (lambda v: v["cases"][1].update(samples_ms=[7]), "cases[1].samples_ms[0] is 7: "),
    ],
)
def test_other_content_is_named_by_its_key(tmp_path: Path, change: Any, words: str) -> None:
    values = bench_result().as_json()
    change(values)
    error = refused(tmp_path / "bench.json", json.dumps(values))
    assert f"is not the result of a benchmark: {words}" in error.message
    assert "another version of cofi or of another tool" in str(error.hint)


def test_another_version_is_named_first(tmp_path: Path) -> None:
    error = refused(tmp_path / "bench.json", '{"version": 2, "rows": []}')
    assert "version is 2" in error.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CofiError, match=r"Cannot read .*bench.json: No such file"):
        BenchResult.read(tmp_path / "bench.json")


@pytest.mark.parametrize("name", ["../../outside.onnx", "/etc/passwd", "..", "a\\b"])
def test_a_record_names_files_beside_it_alone(tmp_path: Path, name: str) -> None:
    values = export_record().as_json()
    next(iter(values["models"].values()))["file"] = name
    (tmp_path / "export.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(CofiError, match=r"should be the name of a file in the same folder"):
        ExportRecord.read(tmp_path / "export.json")
