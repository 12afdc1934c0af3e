"""What widths cost that miss a processor's registers: what ``prune.round_widths_to`` rests on.

    python benchmarks/latency/widths.py

The 95 % shape of run.py with odd hidden and FFN widths, as pruning leaves them, against the
same with all of them at the nearest multiple of 4 to 64. Widths change the amount of work as
well, so times are also given per operation, against the odd shape. One graph form, one 8-bit
recipe; random weights. Writes results-widths.json and .md beside this file.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from run import HERE, PRUNED, VOCAB, Shape

from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.precision.quantization import RECIPES, activations_for, quantize
from cofi_cli.pruning.rounding import nearest_width
from cofi_cli.runs import machine
from cofi_cli.runtime import statistics
from cofi_cli.runtime.client import open_workers
from cofi_cli.runtime.timing import Case, Inputs, Schedule, Turns, time_case

FORM = "lean-fused"
RECIPE = RECIPES[1]
MULTIPLES = (4, 8, 16, 32, 64)
ODD = replace(PRUNED, hidden=757, ffn=(797, 319, 0, 127, 0, 0, 95, 0, 127, 0, 207, 319))


def rounded(multiple: int) -> Shape:
    """Return the odd shape with hidden and FFN widths at the nearest multiple."""
    hidden = nearest_width(ODD.hidden, 768, multiple)
    ffn = tuple(nearest_width(width, 3072, multiple) if width else 0 for width in ODD.ffn)
    return replace(ODD, hidden=hidden, ffn=ffn)


def files_for(shapes: dict[str, Shape], folder: Path) -> dict[str, dict[str, Path]]:
    """Write every shape; return precision -> name -> file."""
    activations = activations_for(machine.cpu_flags())
    files: dict[str, dict[str, Path]] = {"fp32": {}, "int8": {}}
    for name, shape in shapes.items():
        fp32, int8 = folder / f"{name}.onnx", folder / f"{name}-int8.onnx"
        write_onnx(shape.model(), fp32, opset=18, form=FORM)
        quantize(fp32, int8, RECIPE, activations)
        files["fp32"][name], files["int8"][name] = fp32, int8
    return files


def compare(shapes: dict[str, Shape], case: Case, timed: dict[str, Turns]) -> list[dict[str, Any]]:
    """Return a row per shape: p50, the odd one's time over it, whole and per operation."""
    work = {name: own.flops(case.batch, case.seq_len, is_lean=True) for name, own in shapes.items()}
    rows = []
    for name in shapes:
        of = statistics.speedup(timed["1"], timed[name])
        more = work[name] / work["1"]
        rows.append(
            {
                "multiple": int(name),
                "p50_ms": statistics.summarize(timed[name]).p50 * 1e3,
                "work": more,
                "speedup": [of.ratio, of.low, of.high],
                "per_operation": [of.ratio * more, of.low * more, of.high * more],
            }
        )
    return rows


def render(results: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    env = results["env"]
    lines = [
        "# Widths and registers",
        "",
        f"{env['cpu']}, {env['cores']} cores ({', '.join(env['flags'])}), onnxruntime "
        f"{env['packages']['onnxruntime']}. Random weights; graph {results['form']}, int8 "
        f"{results['recipe']}. Ratios above 1: faster than the odd widths (multiple 1).",
        "",
        "| multiple | hidden | FFN |",
        "|---:|---:|---|",
    ]
    for name, shape in results["shapes"].items():
        ffn = " ".join(map(str, shape["ffn"]))
        lines.append(f"| {name} | {shape['hidden']} | {ffn} |")
    for case in results["cases"]:
        lines += [
            "",
            f"## {case['precision']}, {case['case']}, {case['threads']} threads",
            "",
            "| multiple | p50 ms | operations | speedup (95 %) | per operation (95 %) |",
            "|---:|---:|---:|---:|---:|",
        ]
        for row in case["rows"]:
            cells = " | ".join(
                f"{ratio:.2f}× ({low:.2f} to {high:.2f})"
                for ratio, low, high in (row["speedup"], row["per_operation"])
            )
            lines.append(
                f"| {row['multiple']} | {row['p50_ms']:.2f} | {row['work']:.3f}× | {cells} |"
            )
    return "\n".join([*lines, ""])


def main() -> None:
    """Time all shapes in all cases, and write the tables."""
    shapes = {"1": ODD} | {str(multiple): rounded(multiple) for multiple in MULTIPLES}
    env = machine.describe_machine().model_dump() | {"packages": machine.versions("onnxruntime")}
    results: dict[str, Any] = {
        "env": env,
        "form": FORM,
        "recipe": RECIPE.name,
        "shapes": {name: vars(shape) for name, shape in shapes.items()},
        "cases": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        for precision, files in files_for(shapes, Path(folder)).items():
            for batch, threads in ((1, 1), (32, machine.physical_cores())):
                case = Case(batch, 128)
                runs = 60 if batch == 1 else 12
                schedule = Schedule(runs=runs, rounds=6, warmup=2, max_seconds=12)
                with open_workers(files, provider="cpu", threads=threads) as workers:
                    inputs = Inputs(dict.fromkeys(files, VOCAB), {})
                    timed = time_case(workers, case, schedule, inputs=inputs)
                rows = compare(shapes, case, timed)
                results["cases"].append(
                    {"precision": precision, "case": case.name, "threads": threads, "rows": rows}
                )
    file = HERE / "results-widths.json"
    file.write_text(json.dumps(results, indent=1) + "\n")
    file.with_suffix(".md").write_text(render(results))


if __name__ == "__main__":
    main()
