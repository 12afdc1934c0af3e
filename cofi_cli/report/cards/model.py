"""The README.md beside a compact model."""

from __future__ import annotations

from cofi_cli.format import inert, speed_words
from cofi_cli.report.cards.texts import frame, use
from cofi_cli.runs.records import RunReport
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.teacher.agreement import AGREEMENT


def model_card(report: RunReport) -> str:
    """Return the card of a report."""
    model, metric = report.model, report.metric
    is_agreement = metric == AGREEMENT
    shown = f"{metric} with the teacher" if is_agreement else metric
    rows = [f"| {shown}, validation | {model.score:.1f} |"]
    if (tested := model.scores.get("test", {}).get(metric)) is not None:
        rows.append(f"| {shown}, test | {tested:.1f} |")
    if report.constant is not None:
        rows.append(f"| {shown} of one answer to all rows | {report.constant.score:.1f} |")
    rows += [
        f"| encoder weights | {model.encoder_params:,} |",
        f"| all weights | {model.total_params:,} |",
    ]
    summary = f"Fine-tuned from `{report.model_name}`."
    if report.sparsity is not None:
        summary = (
            f"{report.sparsity.realised:.1%} of the encoder's prunable weights of "
            f"`{report.model_name}` are removed."
        )
        if report.teacher is not None and not is_agreement:
            rows.insert(1, f"| {metric} of the dense teacher | {report.teacher.score:.1f} |")
    if report.latency_target is not None:
        summary += f" Speed: {speed_words(report.latency_target)}."
    kind = KINDS[report.kind]
    card = frame("model").format(
        library=kind.library,
        pipeline=kind.pipeline,
        use=use("model", kind.name, "any").replace("{auto}", kind.auto),
        name=report.model_name.rstrip("/").split("/")[-1],
        task=report.task,
        summary=summary,
        table="\n".join(["| | |", "|---|---|", *rows]),
        note=report.note,
    )
    return inert(card)
