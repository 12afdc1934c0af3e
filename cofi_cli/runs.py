"""The run folder: the name of every artefact, and writes that are whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.places import give_usual_rights, is_special, put_in_place, remove, temporary_beside

RUNS = Path("runs")


FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_HINT = "Free some space, then run the same command again; training goes on with --resume."
_WRAPPED = (*FULL, errno.EFBIG, errno.EIO, errno.EROFS)
_OS_ERROR = re.compile(r"\(os error (\d+)\)$")


def _disk_error(path: Path, error: OSError) -> CofiError:
    if error.errno in FULL:
        return CofiError(
            f"No space left on the device while writing {path}. Nothing half-written was kept.",
            hint=FULL_HINT,
            exit_code=UNREACHABLE,
        )
    return CofiError(
        f"Cannot write {path}: {error.strerror or error}.",
        hint="Choose another folder with --output.",
        exit_code=UNREACHABLE,
    )


def _os_error_behind(error: BaseException) -> OSError | None:
    """Return what the system said: torch and safetensors wrap it in errors of their own."""
    if isinstance(error, OSError):
        return error
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, CofiError):
        match = _OS_ERROR.search(str(seen))
        number = int(match[1]) if match else getattr(seen, "errno", None)
        if number in _WRAPPED:
            return OSError(number, os.strerror(number))
        seen = seen.__cause__ or seen.__context__
    return None


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file or folder through ``write(temporary_path)``, then rename it into place.

    A reader never sees a part of it, and a crash leaves the old version. What a killed
    process left of an earlier try is removed. A link stays, and what it leads to is replaced;
    a device or a pipe is written to.

    Raises:
        CofiError: the disk is full or the place not writable (exit code 6).
    """
    try:
        if is_special(path):
            _write_into(path, write)
        else:
            _replace(Path(os.path.realpath(path)), write)
    except Exception as error:
        if (told := _os_error_behind(error)) is None:
            raise
        raise _disk_error(path, told) from error


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        give_usual_rights(temporary)
        put_in_place(temporary, path)
    finally:
        remove(temporary)


def _write_into(path: Path, write: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        write(made)
        with path.open("wb") as stream:
            stream.write(made.read_bytes())


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all."""
    write_atomic(path, lambda temporary: _ignore(temporary.write_text(text, encoding="utf-8")))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, whole or not at all. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a broken file is a :class:`CofiError` that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CofiError(f"Cannot read {path}: {error}.", exit_code=UNREACHABLE) from error


def _ignore(_: object) -> None:
    return None


class RunDir:
    """One run's folder. Knows names, not contents."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.config = self.root / "config.yaml"
        self.env = self.root / "env.json"
        self.metrics = self.root / "metrics.jsonl"
        self.teacher = self.root / "teacher"
        self.checkpoints = self.root / "checkpoints"
        self.plan = self.root / "plan.json"
        self.model = self.root / "model"
        self.answers = self.root / "teacher_answers.npz"
        self.onnx = self.root / "onnx"
        self.bench = self.root / "bench.json"
        self.report_json = self.root / "report.json"
        self.report_md = self.root / "report.md"
        self.structure = self.root / "structure.svg"
        self.lock = self.root / ".lock"

    @property
    def is_finished(self) -> bool:
        """Whether pruning ended: the compact model and its report are there."""
        return self.report_json.exists() and (self.model / "config.json").exists()

    @property
    def exists(self) -> bool:
        """Whether this folder holds a run, finished or not."""
        return self.config.exists()

    @property
    def is_foreign(self) -> bool:
        """Whether the folder holds something, and that is no run."""
        if self.exists or not self.root.is_dir():
            return False
        return any(path != self.lock for path in self.root.iterdir())

    @staticmethod
    def latest(runs: Path = RUNS) -> RunDir:
        """Return the run below ``runs`` whose model was saved last.

        A report is written again by each benchmark and export, a model is not.

        Raises:
            CofiError: there is none.
        """
        found = [RunDir(p) for p in runs.iterdir() if p.is_dir()] if runs.is_dir() else []
        finished = [r for r in found if r.is_finished]
        if not finished:
            raise CofiError(
                f"No finished run in {runs}/.",
                hint="Prune a model first: cofi prune MODEL --task TASK, "
                "or name a run, a model folder or an ONNX file.",
                exit_code=UNREACHABLE,
            )
        return max(finished, key=lambda r: ((r.model / "config.json").stat().st_mtime, r.root.name))


def foreign_folder(root: Path) -> CofiError:
    """Build the error for a folder of something else."""
    return CofiError(
        f"{root} holds something that is not a run; it is left as it is.",
        hint="Choose an empty or a new folder with -o.",
    )


def recorded(run: RunDir) -> dict[str, Any]:
    """Return what env.json says of a run; nothing where it says nothing.

    Raises:
        CofiError: it cannot be read (exit code 6).
    """
    env = read_json(run.env) if run.env.exists() else {}
    return env if isinstance(env, dict) else {}


def command_of(run: RunDir) -> str:
    """Return which command made a run, ``prune`` or ``finetune``.

    A run that was killed before it could write env.json is told by its name.
    """
    is_named = re.search(r"-finetune(-\d+)?$", run.root.resolve().name)
    is_finetune = is_named or (run.checkpoints / "finetune").exists()
    return str(recorded(run).get("command") or ("finetune" if is_finetune else "prune"))
