"""How small a model becomes: 8-bit word vectors, fewer pieces, one file.

    python benchmarks/size/run.py --runs RUNS --data DATA --output FOLDER
    python benchmarks/size/run.py --runs RUNS --data DATA --output FOLDER --tasks stsb --no-bench

RUNS holds finished runs as benchmarks/quality leaves them, RUNS/TASK/SEED/0.95/ours; they are
only read. Each is exported in the ways of WAYS, its teacher too, its model once more after it was
trained on with factorised word vectors (FURTHER), and a random multilingual shape with 250,002
pieces (shape.py). Beside them stand onnxsim's vocabulary pruning and model2vec (rivals.py), where
they are installed: pip install 'onnxsim>=0.8.1' 'model2vec[distill,train]' tokenlearn. A row holds
the folder's bytes, its bytes when compressed, and the scores; with a quiet machine also latency,
cold start and memory, which --no-bench leaves for a later call. Go on with an interrupted call by
repeating it. Writes results.json and results.md beside this file, or to --results.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from rivals import RIVALS  # noqa: E402
from runs import cofi, read  # noqa: E402
from shape import PIECES, make_shape  # noqa: E402
from summary import Results, render  # noqa: E402

Json = dict[str, Any]
TASKS: Mapping[str, tuple[str, str, int]] = {
    "sst2_sentences": ("sst2", "sst2_sentences", 64),
    "stsb": ("stsb", "stsb", 64),
    "stsb-embedding": ("stsb-embedding", "stsb", 64),
}
"""Folder of the runs -> task, folder of its files, and the length that is timed."""
INT8 = ("--precision", "int8")
WAYS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "dense": ("teacher", ()),
    "dense, int8": ("teacher", INT8),
    "dense, int8, 10,000 pieces": ("teacher", (*INT8, "--vocab", "10000")),
    "pruned": ("model", ()),
    "pruned, int8 encoder": ("model", (*INT8, "--embeddings", "fp32")),
    "pruned, int8": ("model", INT8),
    "pruned, int8, auto pieces": ("model", (*INT8, "--vocab", "auto")),
    "pruned, int8, 10,000 pieces": ("model", (*INT8, "--vocab", "10000")),
    "pruned, int8, 8,000 pieces": ("model", (*INT8, "--vocab", "8000")),
    "pruned, int8, 5 MB": ("model", ("--size", "5MB")),
    "pruned, int8, rank 96, not trained": ("model", (*INT8, "--embedding-rank", "96")),
    "pruned, trained on": ("further", ()),
    "pruned, trained on, int8": ("further", INT8),
    "pruned, trained on with rank 96, int8": ("rank96", INT8),
    "pruned, trained on with rank 96, int8, 64 positions": (
        "rank96",
        (*INT8, "--max-length", "64"),
    ),
}
"""Row -> the run's folder that is exported, and how."""
FURTHER: Mapping[str, tuple[str, ...]] = {
    "further": (),
    "rank96": ("--embedding-rank", "96"),
}
"""Further training of a run's model, six epochs of recovery, by the name of its run."""
SHAPE_WAYS: Mapping[str, tuple[str, ...]] = {
    "whole": (),
    "int8": INT8,
    "int8, 50,000 pieces": (*INT8, "--vocab", "50000"),
    "int8, rank 192": (*INT8, "--embedding-rank", "192"),
    "60 MB": ("--size", "60MB"),
}
UNUSED = {"README.md", "export.json", "bench.json"}
"""Files of a folder that running the model does not need."""


def sizes(folder: Path) -> Json:
    """Return the bytes of what runs the model, as they are and compressed for a download."""
    files = [f for f in folder.rglob("*") if f.is_file() and f.name not in UNUSED]
    packed = sum(len(zlib.compress(file.read_bytes(), level=6)) for file in files)
    return {"bytes": sum(file.stat().st_size for file in files), "compressed": packed}


def exported(source: Path, folder: Path, *options: str) -> Json:
    """Export once, and return the row without what is timed."""
    if not (folder / "export.json").exists():
        judged = ("--max-drop", "100") if "--task" in options else ()
        cofi("export", source, "--one-file", "--graph", "lean", *judged, *options, "-o", folder)
    report = read(folder / "export.json")
    row = report["models"]["model"]
    return sizes(folder) | {"score": row.get("score"), "vocabulary": report["vocabulary"]}


def source_of(run: Path, part: str, folder: Path, task: Sequence[str]) -> Path:
    """Return the checkpoint to export; what was to be trained on is trained once."""
    if part not in FURTHER:
        return run / part
    made = folder / part
    if not (made / "report.json").exists():
        given = ("--teacher", run / "teacher", "--set", "recover.epochs=6", "--threads", 1)
        given += ("--max-length", 64, "--resume", "-o", made)
        cofi("finetune", run / "model", *task, *given, *FURTHER[part])
    return made / "model"


def timed(folder: Path, length: int) -> Json:
    """Return latency, cold start and memory of an export; on a quiet machine."""
    file = folder / "bench.json"
    if not file.exists():
        case = ("--batch", "1,32", "--seq-len", length, "--no-torch", "--no-score")
        cofi("bench", folder / "model.onnx", *case, "-o", file)
    result = read(file)
    (model,) = result["models"]
    return {
        "p50_ms": {str(row["batch"]): row["p50_ms"] for row in result["cases"]},
        "cold_start_seconds": model["cold_start_seconds"],
        "peak_rss_bytes": model["peak_rss_bytes"],
    }


def rival(name: str, run: Path, folder: Path) -> Json | None:
    """Return a rival's row without what is timed; ``None`` where its package is missing."""
    done = folder.with_suffix(".json")
    if not done.exists():
        try:
            score = RIVALS[name](run, folder)
        except ImportError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return None
        done.write_text(json.dumps(sizes(folder) | {"score": score, "vocabulary": None}))
    return dict(read(done))


def ordered(results: Results) -> Results:
    """Return results in the order of TASKS and WAYS, whatever was made first."""
    places = [name for name in TASKS if name in results]
    ways = [*WAYS, *RIVALS]
    own = {name: results[name] for name in [*places, *(results.keys() - TASKS.keys())]}
    return {
        name: {way: rows[way] for way in ways if way in rows} if name in TASKS else rows
        for name, rows in own.items()
    }


def main() -> None:
    """Make all rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--results", type=Path, default=HERE)
    parser.add_argument("--tasks", nargs="*", default=[*TASKS])
    parser.add_argument("--ways", nargs="*", help="rows to make; all by default")
    parser.add_argument("--seeds", nargs="*", type=int, default=[57, 58, 59])
    parser.add_argument("--no-shape", action="store_true")
    parser.add_argument("--no-bench", action="store_true")
    asked = parser.parse_args()
    file = asked.results / "results.json"
    results: Results = read(file) if file.exists() else {}

    def keep(place: str, seed: str, way: str, folder: Path, row: Json, length: int) -> None:
        if not asked.no_bench and (folder / "model.onnx").exists():
            row |= timed(folder, length)
        own = results.setdefault(place, {}).setdefault(way, {})
        own[seed] = own.get(seed, {}) | row
        made = ordered(results)
        file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        (asked.results / "results.md").write_text(render(made), encoding="utf-8")

    for name in asked.tasks:
        task, data, length = TASKS[name]
        for seed in asked.seeds:
            run = asked.runs / name / str(seed) / "0.95" / "ours"
            if not (run / "report.json").exists():
                print(f"{run} is not there.", file=sys.stderr)
                continue
            for way, (part, options) in WAYS.items():
                if asked.ways and way not in asked.ways:
                    continue
                folder = asked.output / name / str(seed) / way.replace(", ", "_").replace(" ", "-")
                scored = ("--task", task, "--data", str(asked.data / data))
                source = source_of(run, part, folder.parent / "trained", scored)
                row = exported(source, folder, *scored, *options)
                keep(name, str(seed), way, folder, row, length)
            for way in RIVALS:
                if asked.ways and way not in asked.ways:
                    continue
                folder = asked.output / name / str(seed) / way.replace(", ", "_").replace(" ", "-")
                row = rival(way, run, folder)
                if row is not None:
                    keep(name, str(seed), way, folder, row, length)
    if not asked.no_shape:
        model, texts = make_shape(asked.output / "shape")
        for way, options in SHAPE_WAYS.items():
            folder = asked.output / "shape" / way.replace(", ", "_").replace(" ", "-")
            given = () if options in ((), INT8) else ("--text", str(texts))
            row = exported(model, folder, *options, *given) | {"vocabulary": None}  # made-up words
            keep(f"a random shape with {PIECES:,} pieces", "", way, folder, row, 64)


if __name__ == "__main__":
    main()
