"""What all stages of a run share: configuration, device, data, log, progress."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import set_seed

from cofi_cli.config import RunConfig
from cofi_cli.errors import ENVIRONMENT, CofiError
from cofi_cli.runs import RunDir, recorded, write_text
from cofi_cli.runs.environment import changes_in_words, describe_environment, resumed_record
from cofi_cli.tasks import Encoded, Task
from cofi_cli.training.objective import Objective
from cofi_cli.training.preflight.embedder import check_embedders, task_tokenizer
from cofi_cli.training.preflight.run import guard_data, wide_numbers
from cofi_cli.training.stages.interrupts import StopFlag
from cofi_cli.training.stages.metrics_log import MetricsLog
from cofi_cli.training.stages.precision import bf16_gain, keep_compiled_products, resolve_precision
from cofi_cli.training.stages.progress import Progress, Silent
from cofi_cli.training.stages.schedule import check_schedule
from cofi_cli.training.stages.target import Target

log = logging.getLogger(__name__)


@dataclass
class Session:
    """An open run.

    Attributes:
        splits: the task's splits, tokenised.
        imitated: the rows that the teacher is imitated on: the training rows, and more.
        resume_command: what to type after an interruption.
        bf16_gain: how many times as fast as fp32 a bf16 product was when the run began.
        target: what pruning is asked for; ``None`` where nothing is pruned.
    """

    config: RunConfig
    run: RunDir
    task: Task
    tokenizer: Any
    splits: dict[str, Encoded]
    imitated: Encoded
    accelerator: Accelerator
    metrics: MetricsLog
    progress: Progress
    flag: StopFlag
    resume_command: str
    bf16_gain: float
    target: Target | None = None

    def precision(self, *, hidden: int) -> str:
        """Return ``fp32`` or ``bf16`` for a model of this width."""
        return resolve_precision(
            self.config.train.precision,
            device=self.device,
            hidden=hidden,
            gain=self.bf16_gain,
        )

    def rounds_lengths(self, precision: str) -> bool:
        """Whether batches are padded to few lengths: where products are compiled for theirs."""
        is_compiled = self.device.type == "cpu" and precision == "bf16"
        return is_compiled and self.config.distill.mask_padding

    @property
    def device(self) -> torch.device:
        """Where models run."""
        device: torch.device = self.accelerator.device
        return device

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
    *,
    progress: Progress | None,
    flag: StopFlag,
    command: str,
    task: Task,
    target: Target | None = None,
) -> Session:
    """Tokenise the task, choose the device, record command, configuration and environment.

    Raises:
        CofiError: CUDA asked for and absent, several processes, too few tokens a row, too few
            steps, or other data than the run began with.
    """
    guard_data(run, task)
    if note := wide_numbers(task):
        log.warning("%s", note)
    keep_compiled_products()
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    accelerator = make_accelerator(config.train.device)
    set_seed(config.seed)
    check_embedders(config, task)
    tokenizer = task.prepared(task_tokenizer(config, task))
    splits = {name: task.encode(name, tokenizer) for name in task.splits}
    if command == "prune":
        check_schedule(config, rows=len(splits["train"]))
    run.root.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    write_text(run.config, text)
    if target is not None and target.table is not None and config.prune.table is None:
        write_text(run.latency_table, target.table.model_dump_json(indent=1) + "\n")
    gain = _bf16_gain(config, run, accelerator.device)
    env = describe_environment(
        config, task.fingerprint, accelerator.device, command=command, bf16_gain=gain
    )
    if (before := recorded(run)) is not None:
        if note := changes_in_words(before, env):
            log.warning("%s", note)
        env = resumed_record(before, env)
    env.write(run.env)
    return Session(
        config=config,
        run=run,
        task=task,
        tokenizer=tokenizer,
        splits=splits,
        imitated=splits["train"],
        accelerator=accelerator,
        metrics=MetricsLog(run.metrics),
        progress=progress or Silent(),
        flag=flag,
        resume_command=f"cofi {command} --resume -o {shlex.quote(str(run.root))}",
        bf16_gain=gain,
        target=target,
    )


def _bf16_gain(config: RunConfig, run: RunDir, device: torch.device) -> float:
    """Return what the run measured when it began, or measure now; 0 where nobody asks."""
    if config.train.precision != "auto":
        return 0.0
    if (began := recorded(run)) is not None:
        return began.bf16_gain
    return bf16_gain(device)


def make_accelerator(device: str) -> Accelerator:
    """Return the accelerator of one process.

    Raises:
        CofiError: CUDA is asked for and absent, or several processes were launched.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise CofiError(
            "train.device is 'cuda', but torch sees no CUDA device.",
            hint="Install a CUDA build of torch, or use --set train.device=cpu.",
            exit_code=ENVIRONMENT,
        )
    accelerator = Accelerator(
        cpu=device == "cpu" or not torch.cuda.is_available(), mixed_precision="no"
    )
    if accelerator.num_processes > 1:
        raise CofiError(
            f"Launched in {accelerator.num_processes} processes; a run uses one.",
            hint="Start cofi directly, without accelerate launch or torchrun.",
            exit_code=ENVIRONMENT,
        )
    return accelerator
