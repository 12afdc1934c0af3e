"""The run folder: the name of every artefact."""

from __future__ import annotations

import re
from pathlib import Path

from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs.records import Environment

RUNS = Path("runs")
SIZES = "sizes"


class RunDir:
    """One run's folder. Knows names, not contents.

    A size of a run has a folder that is a run of its own; its teacher is the run's.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        place = self.root.absolute()
        is_size = place.parent.name == SIZES and (place.parents[1] / "config.yaml").exists()
        home = self.root / ".." / ".." if is_size else self.root
        self.config = self.root / "config.yaml"
        self.env = self.root / "env.json"
        self.metrics = self.root / "metrics.jsonl"
        self.teacher = home / "teacher"
        self.checkpoints = self.root / "checkpoints"
        self.plan = self.root / "plan.json"
        self.latency_table = self.root / "latency_table.json"
        self.model = self.root / "model"
        self.answers = home / "teacher_answers.npz"
        self.sizes = self.root / SIZES
        self.onnx = self.root / "onnx"
        self.bench = self.root / "bench.json"
        self.report_json = self.root / "report.json"
        self.report_md = self.root / "report.md"
        self.structure = self.root / "structure.svg"
        self.curve = self.root / "curve.svg"
        self.lock = self.root / ".lock"

    def size(self, name: str) -> RunDir:
        """Return the folder of one of several sizes."""
        return RunDir(self.sizes / name)

    @property
    def is_finished(self) -> bool:
        """Whether pruning ended: the compact model and its report are there."""
        return self.report_json.exists() and (self.model / "config.json").exists()

    @property
    def exists(self) -> bool:
        """Whether this folder holds a run, finished or not."""
        return self.config.exists()

    def check_folder(self) -> None:
        """Refuse a file in the place of the folder.

        Raises:
            CofiError: naming it.
        """
        if self.root.exists() and not self.root.is_dir():
            raise CofiError(
                f"{self.root} is a file; a run needs a folder.", hint="Choose another -o."
            )

    def refuse_foreign(self) -> None:
        """Refuse a folder that holds something, and that is no run.

        Raises:
            CofiError: naming it.
        """
        if self.exists or not self.root.is_dir():
            return
        if any(path != self.lock for path in self.root.iterdir()):
            raise CofiError(
                f"{self.root} holds something that is not a run; it is left as it is.",
                hint="Choose an empty or a new folder with -o.",
            )

    def refuse_links(self) -> None:
        """Refuse to write through a link of a run that somebody handed over.

        Raises:
            CofiError: an artefact is a link that leaves the run's folder (exit code 6).
        """
        home = self.root.resolve()
        for path in vars(self).values():
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                raise CofiError(
                    f"{path} is a link to {path.resolve()}, outside of the run; nothing is "
                    "written through it.",
                    hint="Put what it leads to in its place, or remove it.",
                    exit_code=UNREACHABLE,
                )

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


def recorded(run: RunDir) -> Environment | None:
    """Return env.json of a run, ``None`` where it has none.

    Raises:
        CofiError: it cannot be read (exit code 6).
    """
    return Environment.read(run.env) if run.env.exists() else None


def command_of(run: RunDir) -> str:
    """Return which command made a run, ``prune`` or ``finetune``.

    The name shows it for a run that was killed before it could write env.json.
    """
    if (env := recorded(run)) is not None:
        return env.command
    is_named = re.search(r"-finetune(-\d+)?$", run.root.resolve().name)
    is_finetune = is_named or (run.checkpoints / "finetune").exists()
    return "finetune" if is_finetune else "prune"
