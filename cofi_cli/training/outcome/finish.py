"""The end of a run: its report, and what only an unfinished run needs."""

from __future__ import annotations

from cofi_cli.runs import RunDir
from cofi_cli.runs.atomic import remove
from cofi_cli.runs.records import RunReport
from cofi_cli.training.processes import Processes
from cofi_cli.training.session import Session
from cofi_cli.training.stages.progress import Progress


def finish(session: Session, report: RunReport) -> RunReport:
    """Write report.json, with which a run is finished, and let its checkpoints go."""

    def write() -> None:
        report.write(session.run.report_json)
        if not session.config.train.keep_checkpoints:
            remove(session.run.checkpoints)

    session.processes.wait()  # for those that still read checkpoints
    session.processes.write(write)
    return report


def finished_report(
    run: RunDir, progress: Progress | None, processes: Processes, *, keeps_checkpoints: bool
) -> RunReport | None:
    """Return the report of a run that has finished, as it is; ``None`` for any other run.

    Raises:
        CofiError: it cannot be read (exit code 6).
    """
    if not processes.from_main(run.is_finished):
        return None
    report = RunReport.read(run.report_json)
    if progress is not None and processes.is_main:
        progress.message(f"{run.root} is finished: nothing is left to train.")
    if not keeps_checkpoints:  # for a run that was killed while it removed them
        processes.write(lambda: remove(run.checkpoints))
    return report
