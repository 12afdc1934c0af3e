"""Export to ONNX: choose, make, prove, write; nothing is written that is not proven."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cofi_cli.architectures import load_config_dict, load_tokenizer, resolve, save_tokenizer
from cofi_cli.config import ExportConfig
from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting.acceptance import score_of
from cofi_cli.exporting.budget import check_size, fitted, within
from cofi_cli.exporting.build import Build
from cofi_cli.exporting.candidates import SCHEDULE
from cofi_cli.exporting.checkpoint import load_model, write_config
from cofi_cli.exporting.graphs.choice import CHOSEN
from cofi_cli.exporting.graphs.forms import FORMS
from cofi_cli.exporting.graphs.tracing import LARGEST_FILE, inputs_of
from cofi_cli.exporting.order import Order, choose
from cofi_cli.exporting.vocabulary import Models, known_texts, with_vocabulary
from cofi_cli.modeling import CofiForTask
from cofi_cli.report.cards.onnx import onnx_card
from cofi_cli.runs import machine, write_atomic
from cofi_cli.runs.atomic import workshop
from cofi_cli.runs.export_folder import CARD, EXPORT_JSON
from cofi_cli.runs.records import EXACT, ExportRecord, Machine, Parity
from cofi_cli.runtime.disturbance import busy_note
from cofi_cli.runtime.inputs import Rows, synthetic_rows, task_rows
from cofi_cli.runtime.named_task import check_answers
from cofi_cli.runtime.scoring import as_numbered
from cofi_cli.runtime.timing import Schedule
from cofi_cli.tasks import Task
from cofi_cli.tolerances import EXPORT
from cofi_cli.vocabulary.factors import factorise
from cofi_cli.vocabulary.pieces import uses_of

logger = logging.getLogger(__name__)

PARITY_ROWS = 64
CALIBRATION_ROWS = 1024


@dataclass(frozen=True)
class Made:
    """What lies in the workshop.

    Attributes:
        build: the files, and a record of each.
        model: the torch model that they are to be.
        tokenizer: the model's.
        left_out: size -> why it has no files.
        env: the machine, as the export began.
        started: by ``time.perf_counter``.
    """

    build: Build
    model: CofiForTask
    tokenizer: Any
    left_out: Mapping[str, str]
    env: Machine
    started: float


def run_export(
    source: Path | str,
    config: ExportConfig,
    *,
    output: Path | None = None,
    task: Task | None = None,
    tolerance: float = EXPORT,
    schedule: Schedule = SCHEDULE,
) -> ExportRecord:
    """Export a run's compact model and its dense teacher, or one model, to an ONNX folder.

    Each gets the graph that is fastest for it, so that their latencies compare. The folder
    is written whole or not at all and holds ``model.onnx``, for a run also
    ``dense.onnx``, tokenizer, config.json and export.json.

    Args:
        source: a run folder, a model folder or a hub id.
        config: what is asked for.
        output: the folder to write; by default ``onnx/`` inside the source.
        task: whose dev rows parity and scores are seen on; by default the one that ``config``
            names, else the run's, and synthetic rows where there is none or its data is not
            reachable.
        tolerance: the largest difference of a logit that passes, fp32, as a share of the largest
            logit or of 1.
        schedule: how long each candidate is timed.

    Raises:
        CofiError: parity failed, or a smaller precision loses too much (4), nothing to
            export or not reachable (6), a missing package (5), a wrong argument (2).
    """
    ordered = partial(
        choose, source, output=output, task=task, tolerance=tolerance, schedule=schedule
    )
    order, budget = ordered(config), config.budget
    if budget is None:
        record = _exported(order)
    else:
        record = within(budget, lambda own: _exported(ordered(own)), partial(fitted, order))
    for note in record.notes:
        logger.warning("%s", note)
    return record


def _exported(order: Order) -> ExportRecord:
    """Make, prove and write what was ordered."""
    asked, task = order.config, order.task
    texts = known_texts(asked.text, task) if asked.has_smaller_words else []
    trimmed = with_vocabulary(order.source.models, vocab=asked.vocab, texts=texts, task=task)
    with workshop(order.folder) as shop, trimmed as given:
        made = make(order, given, shop, texts)
        return write(order, given, made, prove(order, given, made))


def make(order: Order, given: Models, shop: Path, texts: Sequence[str] = ()) -> Made:
    """Make the files of every precision in a workshop; a graph that is not proven is not timed.

    Args:
        order: what is asked for.
        given: the models.
        shop: an empty folder.
        texts: that say how often each piece is used, where a table is factorised.

    Raises:
        CofiError: no graph is the torch model, or a precision that was asked for cannot be had.
    """
    started, here = time.perf_counter(), machine.describe_machine()
    task, source, one = order.task, order.source.models, order.config.one_file
    alone = one or not order.config.dense
    tokenizer = load_tokenizer(given.places[CHOSEN])
    longest, places = order.config.max_length, given.places
    fitting, without = _that_fit({CHOSEN: places[CHOSEN]} if alone else places, longest)
    models = {name: (source[name], model) for name, model in fitting.items()}
    if longest is not None:
        tokenizer.model_max_length = min(tokenizer.model_max_length, longest)
    if (rank := order.config.embedding_rank) is not None:
        factorise(fitting[CHOSEN], rank, uses_of(tokenizer, texts))
    scored = known = calibration = whole = None
    if task is not None:
        check_answers(models[CHOSEN][1], task)
        known = task_rows(task, tokenizer, limit=PARITY_ROWS)
        if order.unscored is None:
            config = load_config_dict(resolve(source[CHOSEN]))
            scored = as_numbered(task, config, "the model")
            if order.config.has_smaller_words:
                whole = score_of(source[CHOSEN], task=scored, wish=order.wish)
        if "int8" in order.smaller and "train" in task.splits:
            calibration = task_rows(task, tokenizer, split="train", limit=CALIBRATION_ROWS)
    build = Build(
        shop,
        models,
        rows={name: known or _synthetic(model) for name, (_, model) in models.items()},
        task=scored,
        calibration=calibration,
        tokenizer=tokenizer,
        wish=order.wish,
        whole=whole,
    )
    build.notes += [f"{name}.onnx is left out: {why}." for name, why in without.items()]
    if order.wish.graph == "auto" and (note := busy_note()):
        build.notes.append(note)
    build.fp32()
    if order.smaller and order.unscored is not None:
        build.notes.append(f"{order.smaller[0]} is not scored: {order.unscored}.")
    for precision in order.smaller:
        _add(build, precision, is_asked_for=order.config.precision == precision)
    if alone:
        why = "one file was asked for" if one else "it was not asked for"
        without |= dict.fromkeys(sorted(source.keys() - models.keys()), why)
    return Made(build, fitting[CHOSEN], tokenizer, without, here, started)


def prove(order: Order, given: Models, made: Made) -> ExportRecord:
    """Return the record of what was made, with the proof that every fp32 file is its torch model.

    Raises:
        CofiError: a file has no proof (exit code 4).
    """
    build, model = made.build, made.model
    exact = [file for file in build.files.values() if file.precision == EXACT]
    proofs = [file.parity for file in exact if file.parity is not None]
    if len(proofs) < len(exact) or not proofs:
        raise CofiError("An fp32 file was not compared with torch.", exit_code=PARITY)
    picked, timed = build.pick() if order.config.precision == "auto" else (None, [])
    if order.config.one_file:
        build.keep_only(picked or build.files["_".join([CHOSEN, *order.smaller[-1:]])].file)
        picked = build.files[CHOSEN].file if picked else None
    return ExportRecord(
        source=order.name,
        head=model.kind,
        folder=str(order.folder),
        precision=order.config.precision,
        graph=build.files[CHOSEN].form,
        vocabulary=given.vocabulary,
        picked=picked,
        candidates=timed,
        left_out=dict(made.left_out),
        opset=order.wish.opset,
        exporter="torchscript",
        position_offset=model.config.position_offset,
        inputs=list(inputs_of(model)),
        conditions=order.wish.conditions.record(),
        parity=Parity(
            max_abs_delta=max(proof.max_abs_delta for proof in proofs),
            tolerance=order.wish.tolerance,
            allowed=max(proof.allowed for proof in proofs),
            inputs=proofs[0].inputs,
        ),
        models=build.files,
        asked=order.config,
        files=[],
        notes=build.notes,
        env=made.env,
        versions=machine.versions("torch", "transformers", "onnx", "onnxruntime"),
        seconds=time.perf_counter() - made.started,
    )


def write(order: Order, given: Models, made: Made, record: ExportRecord) -> ExportRecord:
    """Write the folder, whole or not at all; return the record, which names its files."""

    def fill(folder: Path) -> None:
        nonlocal record
        folder.mkdir(parents=True)
        for file in record.models.values():
            shutil.move(made.build.folder / file.file, folder / file.file)
        save_tokenizer(made.tokenizer, folder)
        own = made.model.config
        changed = {"embedding_rank": own.embedding_rank} if own.embedding_rank else {}
        if order.config.max_length is not None:
            changed["max_position_embeddings"] = own.max_position_embeddings
        write_config(given.places[CHOSEN], folder, changed=changed)
        names = sorted(path.name for path in folder.iterdir())
        record = record.model_copy(update={"files": names})
        record.write(folder / EXPORT_JSON)
        is_portable = all(FORMS[file.form].is_portable for file in record.models.values())
        card = onnx_card(record, is_portable=is_portable)
        (folder / CARD).write_text(card, encoding="utf-8")
        if (budget := order.config.budget) is not None:
            check_size(folder, budget)

    write_atomic(order.folder, fill)
    return record


def _add(build: Build, precision: str, *, is_asked_for: bool) -> None:
    """Make a smaller precision; where nobody asked for it, one that cannot be had is left out."""
    before = len(build.notes)
    try:
        {"int8": build.int8, "fp16": build.fp16}[precision]()
    except CofiError as error:
        if is_asked_for:
            raise
        build.leave_out(precision)
        build.notes[before:] = [f"{precision} is left out: {error.message}"]


def _that_fit(
    places: Mapping[str, str], longest: int | None
) -> tuple[dict[str, CofiForTask], dict[str, str]]:
    """Load the models that one ONNX file can hold; return them, and why others are left out.

    Raises:
        CofiError: the model itself is too large.
    """
    models, without = {}, {}
    for name, place in places.items():
        model = load_model(place, longest=longest)
        size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        if size < LARGEST_FILE:
            models[name] = model
            continue
        why = f"its weights take {size / 2**30:.1f} GiB, and an ONNX file holds less than 2"
        if name == CHOSEN:
            raise CofiError(f"{place} cannot be exported: {why}.", hint="Export a smaller model.")
        without[name] = why
    return models, without


def _synthetic(model: CofiForTask) -> Rows:
    config = model.config
    return synthetic_rows(
        vocab=config.vocab_size,
        longest=config.longest_input,
        sequences=config.num_labels if model.has_parts else 0,
    )
