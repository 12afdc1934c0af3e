"""``cofi prune``."""

from __future__ import annotations

from typing import Any

from cofi_cli.cli import options as o
from cofi_cli.cli.console import prepare, say
from cofi_cli.cli.given import KEYS
from cofi_cli.cli.launch import process_index
from cofi_cli.cli.training import Request, open_request, run_training, show_plan


def prune(
    model: o.Model = None,
    task: o.TaskName = None,
    sparsity: o.Sparsity = None,
    max_drop: o.MaxDrop = None,
    speedup: o.Speedup = None,
    latency: o.Latency = None,
    table: o.Table = None,
    provider: o.Provider = None,
    precision: o.CasePrecision = None,
    batch: o.Batch = None,
    seq_len: o.SeqLen = None,
    teacher: o.Teacher = None,
    preset: o.Preset = None,
    config: o.ConfigFile = None,
    overrides: o.Set = None,
    output: o.Output = None,
    resume: o.Resume = False,
    dry_run: o.DryRun = False,
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
    minutes: o.Minutes = None,
    baseline: o.Baseline = None,
    seed: o.Seed = None,
    vocab: o.Vocab = None,
    embedding_rank: o.EmbeddingRank = None,
    size: o.Bytes = None,
    train_precision: o.TrainPrecision = None,
    threads: o.Threads = None,
    keep_checkpoints: o.KeepCheckpoints = None,
    teacher_cache_gb: o.CacheGb = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Prune a model: train a teacher, learn what to keep, cut it out, recover, report.

    [bold]cofi prune bert-base-uncased --task sst2 --sparsity 0.95[/bold]
    """
    given: dict[str, Any] = {k: v for k, v in locals().items() if k in KEYS}
    quiet = quiet or process_index() > 0
    prepare(quiet=quiet)
    request = Request("prune", given, preset, config, overrides, output, resume)
    resolved, run = open_request(request, announce=lambda text: say(text, quiet=quiet))
    if dry_run:
        show_plan(resolved, run, resume=resume, as_json=as_json)
        return
    run_training("prune", resolved, run, resume=resume, as_json=as_json, quiet=quiet)
