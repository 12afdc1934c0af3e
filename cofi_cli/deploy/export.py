"""Export to ONNX: every file proven equal to its torch model before it is kept."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cofi_cli.deploy.environment import versions
from cofi_cli.deploy.graph import inspect
from cofi_cli.deploy.parity import TOLERANCE, check_parity
from cofi_cli.deploy.report import add_section
from cofi_cli.deploy.samples import Rows, synthetic_rows, task_rows
from cofi_cli.deploy.source import (
    Source,
    copy_config,
    find_source,
    load_model,
    task_of,
    weights_digest,
)
from cofi_cli.deploy.tracing import INPUTS, OPSETS, write_onnx
from cofi_cli.errors import UNREACHABLE, CofiError, unknown
from cofi_cli.runs import read_json, write_atomic, write_json

if TYPE_CHECKING:
    from cofi_cli.modeling import CofiForSequenceClassification
    from cofi_cli.tasks import Task

logger = logging.getLogger(__name__)

Precision = Literal["fp32"]
PRECISIONS: tuple[Precision, ...] = ("fp32",)
PARITY_ROWS = 64
EXPORT_JSON = "export.json"


def export(
    source: Path | str,
    *,
    output: Path | None = None,
    precision: str = "fp32",
    opset: int = 18,
    task: Task | None = None,
    tolerance: float = TOLERANCE,
) -> dict[str, Any]:
    """Export a run's compact model and its dense teacher, or one model, to an ONNX folder.

    Both are exported the same way, so that their latencies compare. The folder
    is written whole or not at all and holds ``model.onnx``, for a run also
    ``dense.onnx``, tokenizer, config.json and export.json.

    Args:
        source: a run folder, a model folder or a hub id.
        output: the folder to write; by default ``onnx/`` inside the source.
        precision: of the weights; one of :data:`PRECISIONS`.
        opset: version of the ONNX operators, in :data:`OPSETS`.
        task: whose dev rows parity is checked on; by default the run's task,
            and synthetic rows where there is none or its data is not reachable.
        tolerance: the largest difference of a logit that passes.

    Returns:
        The content of export.json. Its ``folder`` says where; sizes are in bytes.

    Raises:
        CofiError: parity failed (4), nothing to export or not reachable (6),
            a missing package (5), a wrong argument (2).
    """
    _check_arguments(precision, opset)
    found = find_source(source)
    folder = _output(found, output)
    report = _build(source, found, folder, opset=opset, task=task, tolerance=tolerance)
    if found.run is not None:
        add_section(found.run, "onnx", {k: report[k] for k in ("precision", "opset", "parity")})
    return report


def is_fresh(source: Path | str, folder: Path) -> bool:
    """Whether an export folder holds what ``source`` holds now, by its weights' digests."""
    if not (folder / EXPORT_JSON).is_file():
        return False
    models = read_json(folder / EXPORT_JSON).get("models", {})
    for name, checkpoint in find_source(source).models.items():
        row = models.get(name)
        if row is None or not (folder / row["file"]).is_file():
            return False
        if row["weights_sha256"] != weights_digest(checkpoint):
            return False
    return True


def _build(
    source: Path | str,
    found: Source,
    folder: Path,
    *,
    opset: int,
    task: Task | None,
    tolerance: float,
) -> dict[str, Any]:
    from cofi_cli.architectures import load_tokenizer

    report: dict[str, Any] = {}
    started = time.perf_counter()
    tokenizer = load_tokenizer(found.models["model"])
    known = task_rows(task, tokenizer, limit=PARITY_ROWS) if task else _run_rows(found, tokenizer)

    def write(temporary: Path) -> None:
        temporary.mkdir(parents=True)
        rows: dict[str, Any] = {}
        for name, checkpoint in found.models.items():
            model = load_model(checkpoint)
            file = temporary / f"{name}.onnx"
            write_onnx(model, file, opset=opset)
            inputs = known or _synthetic(model)
            parity = check_parity(model, file, inputs, name=f"{name}.onnx", tolerance=tolerance)
            nodes = inspect(file).nodes
            rows[name] = {
                "file": file.name,
                "source": checkpoint,
                "weights_sha256": weights_digest(checkpoint),
                "bytes": file.stat().st_size,
                "node_count": sum(nodes.values()),
                "nodes": nodes,
                "parity": parity,
            }
        tokenizer.save_pretrained(temporary)
        copy_config(found.models["model"], temporary)
        report.update(
            {
                "source": str(source),
                "folder": str(folder),
                "precision": "fp32",
                "opset": opset,
                "exporter": "torchscript",
                "inputs": list(INPUTS),
                "parity": {
                    "max_abs_delta": max(r["parity"]["max_abs_delta"] for r in rows.values()),
                    "tolerance": tolerance,
                    "inputs": next(iter(rows.values()))["parity"]["inputs"],
                },
                "models": rows,
                "versions": versions("torch", "transformers", "onnx", "onnxruntime"),
                "seconds": time.perf_counter() - started,
            }
        )
        write_json(temporary / EXPORT_JSON, report)

    write_atomic(folder, write)
    return report


def _check_arguments(precision: str, opset: int) -> None:
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if opset not in OPSETS:
        raise CofiError(
            f"opset is {opset}; supported are {OPSETS.start} to {OPSETS.stop - 1}.",
            hint="Leave --opset out for the default.",
        )


def _output(found: Source, output: Path | None) -> Path:
    """Choose the folder; one that holds anything but an earlier export is not touched."""
    folder = output or found.output
    if folder is None:
        raise CofiError("A hub model needs a folder to be exported to.", hint="Add --output DIR.")
    is_other = folder.exists() and (
        not folder.is_dir() or (any(folder.iterdir()) and not (folder / EXPORT_JSON).exists())
    )
    if is_other:
        raise CofiError(
            f"{folder} holds something that is not an export; it is left as it is.",
            hint="Choose another folder with --output.",
        )
    return folder


def _run_rows(found: Source, tokenizer: Any) -> Rows | None:
    """Return dev rows of the run's task, or ``None`` where its data is not there."""
    config = task_of(found.run) if found.run is not None else None
    if config is None:
        return None
    from cofi_cli.tasks import load_task

    try:
        return task_rows(load_task(config), tokenizer, limit=PARITY_ROWS)
    except CofiError as error:
        if error.exit_code != UNREACHABLE:
            raise
        logger.warning("Parity is checked on synthetic rows: %s", error.message)
        return None


def _synthetic(model: CofiForSequenceClassification) -> Rows:
    config = model.config
    return synthetic_rows(
        vocab=config.vocab_size,
        longest=config.max_position_embeddings - config.position_offset,
    )
