"""``cofi finetune``."""

from __future__ import annotations

from typing import Any

from cofi_cli.cli import options as o
from cofi_cli.cli.console import prepare, say
from cofi_cli.cli.given import KEYS
from cofi_cli.cli.launch import process_index
from cofi_cli.cli.training import Request, open_request, run_training


def finetune(
    model: o.Model = None,
    task: o.TaskName = None,
    teacher: o.Teacher = None,
    preset: o.Preset = None,
    config: o.ConfigFile = None,
    overrides: o.Set = None,
    output: o.Output = None,
    resume: o.Resume = False,
    data: o.Data = None,
    train: o.TrainFile = None,
    validation: o.ValidationFile = None,
    test: o.TestFile = None,
    extra: o.ExtraFile = None,
    text: o.Text = None,
    label: o.Label = None,
    kind: o.KindName = None,
    unlabelled: o.Unlabelled = None,
    max_length: o.MaxLength = None,
    seed: o.Seed = None,
    vocab: o.Vocab = None,
    embedding_rank: o.EmbeddingRank = None,
    size: o.Bytes = None,
    train_precision: o.TrainPrecision = None,
    threads: o.Threads = None,
    keep_checkpoints: o.KeepCheckpoints = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Train a dense teacher, or train a compact model further.

    A dense MODEL is trained on labels, by the settings of section teacher. A compact MODEL is
    trained by the settings of section recover, and distilled if --teacher names a teacher. With
    --unlabelled, MODEL is distilled on texts alone.
    """
    given: dict[str, Any] = {k: v for k, v in locals().items() if k in KEYS}
    quiet = quiet or process_index() > 0
    prepare(quiet=quiet)
    request = Request("finetune", given, preset, config, overrides, output, resume)
    resolved, run = open_request(request, announce=lambda text: say(text, quiet=quiet))
    run_training("finetune", resolved, run, resume=resume, as_json=as_json, quiet=quiet)
