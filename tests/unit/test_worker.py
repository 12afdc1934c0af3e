import io
import os
import pickle
import subprocess
import sys

import pytest

from cofi_cli.errors import ENVIRONMENT, CofiError
from cofi_cli.exporting.precision.quantization import activations_for
from cofi_cli.runs import machine
from cofi_cli.runs.machine import cpu_flags, describe_machine, physical_cores
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
    assert answer(ModelWorker(), "nothing", {}) == {"error": "KeyError: 'nothing'"}
    assert "unexpected keyword" in answer(ModelWorker(), "memory", {"x": 1})["error"]


def test_serving_answers_request_by_request():
    requests, replies = io.BytesIO(pickle.dumps(("memory", {})) * 2), io.BytesIO()
    serve(ModelWorker(), requests, replies)
    replies.seek(0)
    for _ in range(2):
        assert pickle.load(replies)["peak_bytes"] == pytest.approx(peak_bytes(), rel=0.5)
    assert replies.read() == b""


def test_a_worker_has_its_own_peak_not_its_parents(tmp_path):
    """A forked child's rusage starts at the parent's peak; ours must not."""
    code = (
        "import subprocess, sys; ballast = b'x' * 300_000_000;"
        "print(subprocess.run([sys.executable, '-c',"
        " 'from cofi_cli.runtime.worker import peak_bytes; print(peak_bytes())'],"
        " capture_output=True, text=True, check=True).stdout)"
    )
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
    ("name", "said", "flags", "activations"),
    [
        ("arm64", None, ["asimd", "asimddp"], "s8"),
        ("ARM64", None, ["asimd", "asimddp"], "s8"),
        ("aarch64", ["fp", "asimd"], ["asimd"], "s8"),
        ("x86_64", None, [], "u8"),
        ("x86_64", ["fpu", "avx2"], ["avx2"], "u8"),
        ("x86_64", ["avx512vnni", "avx512f"], ["avx512f", "avx512_vnni"], "u8"),
    ],
)
def test_an_arm_processor_that_says_nothing_has_dot_products(
    monkeypatch, name, said, flags, activations
):
    """macOS and Windows list no flags of ARM; those of x86 come without underscores."""
    monkeypatch.setattr(machine, "_cpu", lambda: {} if said is None else {"flags": said})
    monkeypatch.setattr(machine.platform, "machine", lambda: name)
    assert cpu_flags() == flags
    assert activations_for(cpu_flags()) == activations


def test_hyper_threads_of_one_core_count_once(monkeypatch, tmp_path):
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / str(cpu)).write_text(siblings, encoding="ascii")
    monkeypatch.setattr(machine, "SIBLINGS", str(tmp_path / "{}"))
    for allowed, cores in (([0, 1, 2, 3], 2), ([0, 2], 1), ([0, 1], 2), ([3], 1)):
        monkeypatch.setattr(machine.psutil.Process, "cpu_affinity", lambda _, a=allowed: a)
        assert (machine.physical_cores(), machine.available_cpus()) == (cores, len(allowed))


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
        "import pickle, sys, time\n"
        "pickle.load(sys.stdin.buffer)\n"
        "pickle.dump({'providers': ['CPUExecutionProvider']}, sys.stdout.buffer)\n"
        "sys.stdout.flush()\n"
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


def test_a_worker_that_dies_says_its_last_words(monkeypatch, tmp_path):
    script = "import os, sys\nsys.stderr.write('first\\nno memory\\n')\nos._exit(3)\n"
    (tmp_path / "dying.py").write_text(script, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(client.MODULES, "onnxruntime", "dying")
    with pytest.raises(CofiError, match=r"ran m ended \(exit code 3\)\. no memory$") as caught:
        WorkerClient(tmp_path / "m.onnx", name="m", provider="cpu", threads=1)
    assert caught.value.exit_code == ENVIRONMENT


ENDLESS = """
from cofi_cli.runtime.worker import Worker, run
class Endless(Worker):
    def open(self, **_): return {}
    _prepared = _logits = None
    def memory(self):
        while True: pass
run(Endless())
"""


def test_a_worker_in_an_endless_run_ends_with_its_parent():
    process = subprocess.Popen([sys.executable, "-c", ENDLESS], stdin=subprocess.PIPE)
    try:
        pickle.dump(("memory", {}), process.stdin)
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        process.stdin.close()  # as when the parent is killed
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
