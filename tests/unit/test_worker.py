import io
import json
import os
import sys

import pytest

from cofi_cli.errors import ENVIRONMENT, CofiError
from cofi_cli.exporting.precision.quantization import signs_for
from cofi_cli.runs import machine
from cofi_cli.runs.machine import describe_machine, physical_cores
from cofi_cli.runtime import client
from cofi_cli.runtime.client import WorkerClient
from cofi_cli.runtime.onnx_worker import ModelWorker
from cofi_cli.runtime.worker import answer, peak_bytes, random_inputs, serve


def test_random_inputs_are_valid_and_repeatable():
    first, again = (random_inputs(3, 5, vocab=11, seed=2) for _ in range(2))
    assert {key: value.shape for key, value in first.items()} == dict.fromkeys(first, (3, 5))
    assert all((first[key] == again[key]).all() for key in first)
    assert first["input_ids"].max() < 11
    assert first["input_ids"].min() >= 0
    assert first["attention_mask"].all()
    assert not first["token_type_ids"].any()


def test_a_request_that_fails_is_answered():
    assert answer(ModelWorker(), {"do": "nothing"}) == {"error": "KeyError: 'nothing'"}
    assert "unexpected keyword" in answer(ModelWorker(), {"do": "memory", "x": 1})["error"]


def test_serving_answers_line_by_line():
    replies = io.StringIO()
    serve(ModelWorker(), ['{"do": "memory"}\n', '{"do": "memory"}\n'], replies)
    lines = [json.loads(line) for line in replies.getvalue().splitlines()]
    assert len(lines) == 2
    assert all(line["peak_bytes"] == pytest.approx(peak_bytes(), rel=0.5) for line in lines)


def test_a_worker_has_its_own_peak_not_its_parents(tmp_path):
    """A forked child's rusage starts at the parent's peak; ours must not."""
    code = (
        "import subprocess, sys; ballast = b'x' * 300_000_000;"
        "print(subprocess.run([sys.executable, '-c',"
        " 'from cofi_cli.runtime.worker import peak_bytes; print(peak_bytes())'],"
        " capture_output=True, text=True, check=True).stdout)"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 250_000_000


def test_a_file_that_does_not_open(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not onnx")
    with pytest.raises(CofiError) as caught:
        WorkerClient(path, name="broken", provider="cpu", threads=1)
    assert "onnxruntime cannot open" in caught.value.message
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("name", "cpuinfo", "flags", "activations"),
    [
        ("arm64", None, ["asimd", "asimddp"], "s8"),
        ("ARM64", None, ["asimd", "asimddp"], "s8"),
        ("aarch64", "processor : 0\nFeatures : fp asimd\n", ["asimd"], "s8"),
        ("x86_64", None, [], "u8"),
        ("x86_64", "processor : 0\nflags : fpu avx2\n", ["avx2"], "u8"),
    ],
)
def test_an_arm_processor_that_says_nothing_has_dot_products(
    monkeypatch, tmp_path, name, cpuinfo, flags, activations
):
    """macOS and Windows have no /proc/cpuinfo."""
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo, encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", file)
    monkeypatch.setattr(machine.platform, "machine", lambda: name)
    assert describe_machine().flags == flags
    signs = signs_for(describe_machine().flags)
    assert (signs.activations, signs.reduce_range) == (activations, activations == "u8")


def test_the_machine_is_described():
    here = describe_machine()
    assert here.cpu
    assert 1 <= physical_cores() <= here.logical_cores


@pytest.mark.parametrize(
    ("own", "files", "quota", "threads"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, None, 8),
        ("0::/\n", {"cpu.max": "200000 100000"}, 2.0, 2),
        ("0::/a/b\n", {"a/cpu.max": "350000 100000", "a/b/cpu.max": "max 100000"}, 3.5, 3),
        ("0::/a/b\n", {"a/cpu.max": "350000 100000", "a/b/cpu.max": "50000 100000"}, 0.5, 1),
        ("0::/\n", {"cpu.max": "6400000 100000"}, 64.0, 8),
        (
            "4:memory:/m\n3:cpu,cpuacct:/docker/1\n0::/\n",  # the host's path, not ours
            {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"},
            4.0,
            4,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None, 8),
        ("1:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "1"}, None, 8),
        (None, {}, None, 8),
    ],
)
def test_threads_keep_within_a_containers_quota(monkeypatch, tmp_path, own, files, quota, threads):
    for name, content in files.items():
        file = tmp_path / "sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n", encoding="ascii")
    if own is not None:
        (tmp_path / "cgroup").write_text(own, encoding="ascii")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "sys")
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "physical_cores", lambda: 8)
    assert machine.cpu_quota() == quota
    assert machine.default_threads() == threads


def test_a_worker_that_hangs_is_ended(monkeypatch, tmp_path):
    """It opens its model, and then answers nothing."""
    script = (
        "import json, sys, time\n"
        "sys.stdin.readline()\n"
        "print(json.dumps({'providers': ['CPUExecutionProvider']}), flush=True)\n"
        "time.sleep(600)\n"
    )
    (tmp_path / "hanging.py").write_text(script, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(client.MODULES, "onnxruntime", "hanging")
    worker = WorkerClient(tmp_path / "m.onnx", name="m", provider="cpu", threads=1, timeout=5)
    with worker, pytest.raises(CofiError) as caught:
        worker.time(1)
    assert caught.value.message == (
        "The process that runs m has not answered 'time' within 5 seconds and was ended."
    )
    assert caught.value.exit_code == ENVIRONMENT and "--batch" in caught.value.hint
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)
