"""Model folders that a run leaves: the dense teacher and the compact model."""

from __future__ import annotations

import json
from pathlib import Path

from transformers.utils import logging as transformers_logging

from cofi_cli.architectures import save_dense, save_tokenizer, write_modules
from cofi_cli.errors import reading
from cofi_cli.modeling import CofiForTask
from cofi_cli.pruning.plan import PrunePlan
from cofi_cli.report.cards.model import model_card
from cofi_cli.runs import read_json, write_atomic
from cofi_cli.runs.records import RunReport
from cofi_cli.training.session import Session

PLAN = "plan.json"


def plan_of(model: str) -> PrunePlan | None:
    """Return the plan beside a compact model, ``None`` where there is none."""
    file = Path(model) / PLAN
    if not file.exists():
        return None
    with reading(str(file)):
        return PrunePlan(**read_json(file))


def save_dense_model(session: Session, model: CofiForTask, folder: Path, *, source: str) -> None:
    """Write a dense model as an ordinary checkpoint with its tokenizer, whole or not at all."""

    def write(temporary: Path) -> None:
        transformers_logging.disable_progress_bar()
        save_dense(model, temporary, source=session.vocabulary.place(source))
        save_tokenizer(session.tokenizer, temporary)

    session.processes.write(lambda: write_atomic(folder, write))


def save_compact(
    session: Session, model: CofiForTask, report: RunReport, *, plan: PrunePlan | None, folder: Path
) -> None:
    """Write weights, configuration, modeling code, tokenizer, plan, model card.

    Args:
        model: compact.
        plan: of the model, if it is known.
        folder: to write.
    """

    def write(temporary: Path) -> None:
        transformers_logging.disable_progress_bar()
        model.cpu().eval().save_pretrained(temporary, safe_serialization=True)
        save_tokenizer(session.tokenizer, temporary)
        if model.kind == "embedding":
            source = session.vocabulary.place(session.config.model)
            write_modules(model, temporary, source=source)
        if plan is not None:
            (temporary / PLAN).write_text(json.dumps(plan.model_dump()) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(model_card(report), encoding="utf-8")

    session.processes.write(lambda: write_atomic(folder, write))
