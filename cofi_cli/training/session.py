"""The session that all stages share: configuration, device, data, log, progress."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate.utils import set_seed

from cofi_cli.config import RunConfig
from cofi_cli.runs import RunDir, recorded, write_text
from cofi_cli.runs.environment import describe_environment, resumed_record
from cofi_cli.runs.records import Environment
from cofi_cli.tasks import Encoded, Task
from cofi_cli.training.mapped import mapped_arrays
from cofi_cli.training.objective import Objective
from cofi_cli.training.preflight.bytes import check_reachable
from cofi_cli.training.preflight.embedder import task_tokenizer
from cofi_cli.training.preflight.run import guard_ids
from cofi_cli.training.processes import Processes
from cofi_cli.training.stages.checkpoint import save_state
from cofi_cli.training.stages.interrupts import StopFlag
from cofi_cli.training.stages.metrics_log import MetricsLog
from cofi_cli.training.stages.precision import bf16_gain, keep_compiled_products, resolve_precision
from cofi_cli.training.stages.progress import Progress, Silent
from cofi_cli.training.stages.schedule import Schedule, check_schedule
from cofi_cli.training.stages.target import Target
from cofi_cli.training.vocabulary import Vocabulary, trimmed_vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """An open run.

    Attributes:
        splits: the task's splits, tokenised.
        imitated: the rows that the teacher is imitated on: the training rows, and more.
        resume_command: what to type after an interruption.
        bf16_gain: how many times as fast as fp32 a bf16 product was when the run began.
        target: what pruning is asked for; ``None`` where nothing is pruned.
        vocabulary: where models of a trimmed vocabulary are loaded from.
    """

    config: RunConfig
    run: RunDir
    task: Task
    tokenizer: Any
    splits: dict[str, Encoded]
    imitated: Encoded
    processes: Processes
    metrics: MetricsLog
    progress: Progress
    flag: StopFlag
    resume_command: str
    bf16_gain: float
    target: Target | None = None
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    @property
    def sizes(self) -> tuple[Target, ...]:
        """Targets of all sizes that pruning makes, the largest model first."""
        assert self.target is not None, "pruning has a target"
        return self.target.sizes(self.config.prune)

    def precision(self, *, hidden: int) -> str:
        """Return ``fp32`` or ``bf16`` for a model of this width."""
        return resolve_precision(
            self.config.train.precision, device=self.device, hidden=hidden, gain=self.bf16_gain
        )

    def rounds_lengths(self, precision: str) -> bool:
        """Whether batches are padded to few lengths: where products are compiled for theirs."""
        is_compiled = self.device.type == "cpu" and precision == "bf16"
        return is_compiled and self.config.distill.mask_padding

    @property
    def device(self) -> torch.device:
        """Where models run."""
        return self.processes.device

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """Let the main process write a state; it is there for all afterwards."""
        self.processes.write(lambda: save_state(path, state))

    @property
    def pad_id(self) -> int:
        """The tokenizer's padding id."""
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def objective(self) -> Objective:
        """The losses of the task's kind."""
        return Objective(self.task.kind)


def open_session(
    config: RunConfig,
    run: RunDir,
    task: Task,
    target: Target | None,
    *,
    progress: Progress | None,
    flag: StopFlag,
    command: str,
    processes: Processes,
) -> Session:
    """Tokenise the task, choose the device, record command, configuration and environment.

    Raises:
        CofiError: too few tokens a row, or too few steps.
    """
    keep_compiled_products()
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    set_seed(config.seed)
    models = filter(None, (config.model, config.teacher.path))
    with trimmed_vocabulary(config.vocab, models, run, task) as vocabulary:
        model = vocabulary.place(config.model)
        tokenizer = task.prepared(task_tokenizer(model, task))
        made: dict[str, Encoded] | None = None
        if processes.local_index == 0:
            made = {name: task.encode(name, tokenizer) for name in task.splits}
            guard_ids(model, made)
            if config.size is not None:
                check_reachable(tokenizer, config.size, weights=_kept_weights(target))
            if command == "prune":
                rows = len(made["train"])
                steps = Schedule.of(config.prune, config.recover, rows=rows)
                check_schedule(config.prune, steps, rows=rows)
        gain = processes.from_main(_bf16_gain(config.train.precision, run, processes.device))
        processes.wait()  # until all have seen what the folder holds
        if processes.is_main:
            env = describe_environment(
                config.seed,
                task.fingerprint,
                processes.device,
                command=command,
                bf16_gain=gain,
                processes=processes.count,
            )
            _record(config, run, env, target)
        kept = vocabulary.kept_by(run, processes)
    splits = mapped_arrays(run.checkpoints / "rows", made, processes)
    del made  # what lies in the file need not be in memory as well
    return Session(
        config=config,
        run=run,
        task=task,
        tokenizer=tokenizer,
        splits=splits,
        imitated=splits["train"],
        processes=processes,
        metrics=MetricsLog(run.metrics if processes.is_main else None),
        progress=(progress if processes.is_main else None) or Silent(),
        flag=flag,
        resume_command=f"cofi {command} --resume -o {shlex.quote(str(run.root))}",
        bf16_gain=gain,
        target=target,
        vocabulary=kept,
    )


def _kept_weights(target: Target | None) -> int:
    """Return how many weights stay at a target, 0 where they are not known before pruning."""
    if target is None or target.speedup is not None:
        return 0
    return round(target.cost.dense * (1 - target.reduction))


def _record(config: RunConfig, run: RunDir, env: Environment, target: Target | None) -> None:
    """Write configuration, environment and latency table; warn of an environment that changed."""
    run.root.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_text(run.config, text)
    if target is not None and target.table is not None and config.prune.table is None:
        write_text(run.latency_table, target.table.model_dump_json(indent=1) + "\n")
    if (before := recorded(run)) is not None:
        env, note = resumed_record(before, env)
        if note is not None:
            log.warning("%s", note)
    env.write(run.env)


def _bf16_gain(precision: str, run: RunDir, device: torch.device) -> float:
    """Return what the run measured when it began, or measure now; 0 where nobody asks."""
    if precision != "auto":
        return 0.0
    if (began := recorded(run)) is not None:
        return began.bf16_gain
    return bf16_gain(device)
