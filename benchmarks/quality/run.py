"""A benchmark that cannot flatter: our models beside what else would do, over tasks and seeds.

    python benchmarks/quality/run.py --data FOLDER --output FOLDER
    python benchmarks/quality/run.py --data FOLDER --output FOLDER --tasks mrpc cola \
        --sparsities 0.95 --seeds 57 --rivals word_vectors --threads 1 --no-bench

A row for each task, sparsity and seed (tasks.py says which and with what budget): the teacher,
ours, and the rivals: word vectors alone, a fixed structure of as many weights, and onnxsim's
structured pruning of the dense graph (optional: pip install 'onnxsim>=0.8.1'; for the embedder
model2vec and tokenlearn, also optional). Go on with an interrupted call by repeating it: what is
done stays, here and in results.json. With --with-text ours is also pruned with 19,455 unlabelled
sentences of SQuAD's articles as further text (texts.py). With --no-bench nothing is exported and
timed, as is wise while other work runs; a later call without it adds latencies. Writes results.json
and results.md beside this file, or to --results. Another encoder, by --model, has folders of its
own there, named after it.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from fixed_structure import fixed_structure  # noqa: E402
from graph_pruning import graph_pruning  # noqa: E402
from ours import measure, ours, teacher_row  # noqa: E402
from runs import environment, read  # noqa: E402
from table import render  # noqa: E402
from tasks import MODEL, RIVALS, ROWS, SEEDS, WITH_TEXT, Cell, cells  # noqa: E402
from word_vectors import word_vectors  # noqa: E402

MAKE: Mapping[str, Callable[..., dict[str, Any]]] = {
    "word_vectors": word_vectors,
    "fixed_structure": fixed_structure,
    "graph_pruning": graph_pruning,
}
FRESH = ("p50_ms", "onnx_bytes", "onnx_scores")
"""What a call with latencies adds."""


def fill(
    row: dict[str, Any], cell: Cell, rivals: list[str], *, bench: bool, with_text: bool
) -> None:
    """Add to a row, in place, what was asked for and is not there yet."""
    run = cell.folder / "ours"
    if "ours" not in row or (bench and "p50_ms" not in row["ours"]):
        row["ours"] = ours(cell)
        row["teacher"] = teacher_row(cell)
        row["budget"] = {"preset": cell.row.preset or "the task's own", **cell.row.settings}
        row["environment"] = environment(run)
        if bench:
            found = measure(run, cell)
            row["ours"] |= found
            row["teacher"] |= {key: found[key] for key in FRESH}
    if with_text and WITH_TEXT not in row and cell.row.takes_text:
        row[WITH_TEXT] = ours(cell, WITH_TEXT)
    for rival in rivals:
        known = row.get(rival, {})
        if "scores" not in known or (bench and "p50_ms" not in known):
            try:
                row[rival] = MAKE[rival](cell, bench=bench)
            except Exception as error:  # one rival's fault is no other row's
                traceback.print_exc()
                row[rival] = known or {"missing": f"failed: {type(error).__name__}"}


def _row(results: dict[str, Any], cell: Cell) -> dict[str, Any]:
    """Return the row of a cell, made where it is missing."""
    by_seed = results.setdefault(cell.name, {}).setdefault(f"{cell.sparsity:g}", {})
    row: dict[str, Any] = by_seed.setdefault(f"{cell.seed}", {})
    return row


def main() -> None:
    """Fill the rows asked for and write the tables after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default=MODEL, help="hub id or folder of the encoder")
    parser.add_argument("--tasks", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--sparsities", nargs="+", type=float, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[57, 58, 59])
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--with-text", action="store_true", help="ours with unlabelled text, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-bench", dest="bench", action="store_false")
    parser.add_argument("--results", type=Path, default=HERE, help="folder of results.*")
    options = parser.parse_args()
    if options.model != MODEL:
        own = Path(options.model).name
        options.output, options.results = options.output / own, options.results / own
    file = options.results / "results.json"
    results = read(file) if file.exists() else {}
    for name, sparsity, seed in cells(options.tasks, options.sparsities, options.seeds):
        places = options.data, options.output
        cell = Cell(name, sparsity, seed, *places, options.threads, options.model)
        row = _row(results, cell)
        fill(row, cell, options.rivals, bench=options.bench, with_text=options.with_text)
        results = read(file) if file.exists() else {}  # another call may have written meanwhile
        _row(results, cell).update(row)
        ordered = {known: results[known] for known in ROWS if known in results}
        options.results.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
        table = render(ordered, Path(options.model).name)
        (options.results / "results.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
