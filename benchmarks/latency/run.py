"""Latency of a BERT-base with 6 % of its encoder weights, and of what one would take instead.

    python benchmarks/latency/run.py                   # processor: fp32 and int8
    python benchmarks/latency/run.py --provider cuda   # GPU: fp32 and fp16

Random weights throughout: latency does not depend on them, scores would. Every shape is
exported as `cofi export` exports, in the form and recipe that are fastest here for the pruned
one, and timed as `cofi bench` times: each file in its own process, in turn. On a processor
there is an export for each case, on a GPU one for all. Writes results-PROVIDER.json and .md
beside this file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cofi_cli.exporting.build import Build
from cofi_cli.exporting.candidates import Conditions
from cofi_cli.exporting.graphs.choice import Wish
from cofi_cli.exporting.graphs.forms import SKIP
from cofi_cli.modeling import CofiConfig, CofiForSequenceClassification
from cofi_cli.runs import machine
from cofi_cli.runs.records import graph_name
from cofi_cli.runtime import statistics
from cofi_cli.runtime.client import open_workers
from cofi_cli.runtime.inputs import synthetic_rows
from cofi_cli.runtime.providers import torch_serves
from cofi_cli.runtime.timing import Case, Inputs, Schedule, Turns, time_case

HERE = Path(__file__).parent
VOCAB = 30522


@dataclass(frozen=True)
class Shape:
    """An encoder: hidden width, width of a head, heads and FFN width of each layer."""

    hidden: int
    head_dim: int
    heads: tuple[int, ...]
    ffn: tuple[int, ...]

    def model(self) -> CofiForSequenceClassification:
        """Return it with random weights."""
        torch.manual_seed(0)
        config = CofiConfig(
            vocab_size=VOCAB,
            hidden_size=self.hidden,
            pooler_size=self.hidden,
            head_dim=self.head_dim,
            layer_heads=list(self.heads),
            layer_ffn=list(self.ffn),
        )
        config._attn_implementation = "eager"
        return CofiForSequenceClassification(config).eval()

    def flops(self, batch: int, length: int, *, is_lean: bool) -> float:
        """Return the floating-point operations of its matrix products, pooler aside.

        A lean graph's last attention has one query a row, and what follows one token.
        """
        d, total, is_cut = self.hidden, 0.0, False
        last = max((i for i, heads in enumerate(self.heads) if heads), default=-1)
        for layer, (heads, ffn) in enumerate(zip(self.heads, self.ffn, strict=True)):
            width, keyed = heads * self.head_dim, 1 if is_cut else length
            is_cut = is_lean and layer >= last
            asking = 1 if is_cut else length
            total += 2 * d * width * (keyed + asking)  # K and V; Q and output
            total += 2 * asking * length * width + 2 * d * ffn * asking
        return 2.0 * batch * total


def uniform(layers: int, hidden: int, heads: int, ffn: int) -> Shape:
    """Return a shape whose layers are equal."""
    return Shape(hidden, hidden // heads, (heads,) * layers, (ffn,) * layers)


# After what CoFi reports of its 95 % models (section 4.4 and appendix): nearly all hidden dims
# survive, 7 to 14 of the 24 sub-layers do, first and last FFN mostly, middle layers go first.
PRUNED = Shape(
    760, 64, (3, 2, 0, 2, 0, 1, 0, 0, 2, 0, 1, 1), (800, 320, 0, 128, 0, 0, 96, 0, 128, 0, 208, 320)
)
SHAPES = {
    "dense": uniform(12, 768, 12, 3072),
    "model": PRUNED,
    "distilbert": uniform(6, 768, 12, 3072),
    "tinybert-4": uniform(4, 312, 12, 1200),
    "minilm-l6-h384": uniform(6, 384, 12, 1536),
    "xtremedistil-l6-h256": uniform(6, 256, 8, 1024),
}
PORTABLE = "-portable"
"""Ends the name of a file of standard operators only."""
REPLAY = "-replay"
"""Ends the name of a file whose kernels are recorded and replayed, as a CUDA graph."""
UNTIMED = ("distilbert", "tinybert-4", "minilm-l6-h384", "xtremedistil-l6-h256")
"""In fp32 on a GPU."""
TORCH = "-torch"
"""Ends the name of a checkpoint in PyTorch."""
RATE = "rate-"
"""Begins the name of a file of large products, whose precision follows."""
PRODUCT = (768, 3072)
"""Weights of a large product."""
PRODUCT_ROWS = {"cpu": 512, "cuda": 16384}
PRODUCTS = 6
"""In one file; what else it does is a difference of the rows, less than 0.2 % of its time."""
NAMES = {"dense": "BERT-base", "model": "BERT-base, 94 % pruned"}


def encoder_weights(model: torch.nn.Module) -> int:
    """Count what lies in the encoder layers, LayerNorm included."""
    return sum(p.numel() for name, p in model.named_parameters() if ".layers." in name)


def product_file(folder: Path, provider: str, precision: str) -> dict[str, Path]:
    """Write large products as a graph that is timed like a model; return it by its name.

    The ids decide nothing: they keep onnxruntime from working the products out beforehand.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    rows = PRODUCT_ROWS[provider]
    kind = np.dtype(np.float16 if precision == "fp16" else np.float32)
    number, random = helper.np_dtype_to_tensor_dtype(kind), np.random.default_rng(0)
    weights = {
        "rows": random.standard_normal((rows, PRODUCT[0])).astype(kind),
        "none": np.zeros(1, np.int64),
        "one": np.ones(1, np.int64),
        **{f"w{i}": random.standard_normal(PRODUCT).astype(kind) for i in range(PRODUCTS)},
    }
    nodes = [
        helper.make_node("ReduceMin", ["input_ids"], ["least"], keepdims=0),
        helper.make_node("Less", ["least", "none"], ["never"]),
        helper.make_node("Cast", ["never"], ["nothing"], to=number),
        helper.make_node("Sub", ["rows", "nothing"], ["x"]),
    ]
    for i in range(PRODUCTS):
        nodes.append(helper.make_node("MatMul", ["x", f"w{i}"], [f"all{i}"]))
        nodes.append(helper.make_node("Slice", [f"all{i}", "none", "one", "none"], [f"y{i}"]))
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info(f"y{i}", number, [1, PRODUCT[1]]) for i in range(PRODUCTS)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    name = RATE + precision
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    save(made, str(folder / f"{name}.onnx"))
    return {name: folder / f"{name}.onnx"}


def files_for(
    folder: Path,
    shapes: dict[str, Shape],
    conditions: Conditions,
    precision: str,
    *,
    portable: bool = False,
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Export shapes as one run; return file by name, and the rows of export.json."""
    models = {name: ("", shape.model()) for name, shape in shapes.items()}
    wish = Wish("auto", portable, conditions, 0.5, 18, 1e-4)
    rows = synthetic_rows(vocab=VOCAB, longest=max(conditions.seq_len))
    build = Build(
        folder,
        models,
        rows=dict.fromkeys(models, rows),
        task=None,
        calibration=None,
        tokenizer=None,
        wish=wish,
    )
    build.fp32()
    if precision != "fp32":
        getattr(build, precision)()
    made = build.files
    files = {name: build.folder / file.file for name, file in made.items()}
    return files, {name: file.model_dump(exclude_defaults=True) for name, file in made.items()}


def add_portable(
    folder: Path,
    files: dict[str, Path],
    rows: dict[str, Any],
    conditions: Conditions,
    precision: str,
) -> None:
    """Add what ``--portable`` makes of the pruned shape, its candidates left out."""
    folder.mkdir()
    shapes = {"model": SHAPES["model"]}
    own, made = files_for(folder, shapes, conditions, precision, portable=True)
    for name, file in own.items():
        known = name.replace("model", f"model{PORTABLE}", 1)
        files[known], rows[known] = file, made[name]
        rows[known].pop("candidates", None)


def other_ways(
    folder: Path, files: dict[str, Path], rows: dict[str, Any], conditions: Conditions
) -> dict[str, dict[str, Any]]:
    """Return what else is timed, by name: PyTorch where it serves the provider, CUDA graphs.

    Each as arguments of a worker; their rows are added.
    """
    own: dict[str, dict[str, Any]] = {}
    provider = conditions.provider
    for name in ("dense", "model") if torch_serves(provider) else ():
        model = SHAPES[name].model()
        model.config._attn_implementation = None  # what the loader chooses by itself
        model.save_pretrained(folder / (name + TORCH))
        own[name + TORCH] = {"model": folder / (name + TORCH), "runtime": "torch"}
        rows[name + TORCH] = {"form": "PyTorch, eager", "precision": "fp32"}
    for name in ("dense_fp16", "model_fp16") if provider == "cuda" else ():
        if rows[name]["form"] in SKIP:  # all others have nodes that stay on the processor
            own[name + REPLAY] = {"model": files[name], "replay": True}
            rows[name + REPLAY] = rows[name] | {"recipe": "CUDA graph"}
    return own


def run_group(
    conditions: Conditions, precision: str, schedule: Schedule, folder: Path
) -> Iterator[dict[str, Any]]:
    """Export once, then time all files in each case; yield a case's results."""
    folder.mkdir()
    files, rows = files_for(folder, SHAPES, conditions, precision)
    if conditions.provider == "cpu":
        add_portable(folder / "portable", files, rows, conditions, precision)
    left_out = UNTIMED if conditions.provider == "cuda" else ()
    wanted: dict[str, Any] = {n: file for n, file in files.items() if n not in left_out}
    wanted |= other_ways(folder, files, rows, conditions)
    provider, threads = conditions.provider, conditions.threads
    for own in ("fp32", "fp16") if provider == "cuda" else ("fp32",):
        wanted |= product_file(folder, provider, own)
    with open_workers(wanted, provider=provider, threads=threads) as workers:
        for case in conditions.cases:
            inputs = Inputs(dict.fromkeys((worker.name for worker in workers), VOCAB), {})
            timed = time_case(workers, case, schedule, inputs=inputs)
            yield case_results(case, timed, rows, conditions)
    shutil.rmtree(folder)


def case_results(
    case: Case,
    timed: dict[str, Turns],
    rows: dict[str, Any],
    conditions: Conditions,
) -> dict[str, Any]:
    """Return what the table says of a case."""
    operations = 2.0 * PRODUCTS * PRODUCT_ROWS[conditions.provider] * PRODUCT[0] * PRODUCT[1]
    rates = {
        name.removeprefix(RATE): operations / statistics.summarize(turns).p50
        for name, turns in timed.items()
        if name.startswith(RATE)
    }
    results = []
    for name in (name for name in timed if not name.startswith(RATE)):
        base = name.removesuffix(REPLAY).removesuffix("_int8").removesuffix("_fp16")
        shape = base.removesuffix(PORTABLE).removesuffix(TORCH)
        own = statistics.summarize(timed[name])
        product = statistics.speedup(timed["dense"], timed[name])
        dense = name.replace(base, "dense" + (TORCH if base.endswith(TORCH) else ""), 1)
        equal = statistics.speedup(timed[dense], timed[name])
        is_cut = rows[name]["form"].startswith("lean") or rows[name]["form"] in SKIP
        flops = SHAPES[shape].flops(case.batch, case.seq_len, is_lean=is_cut)
        rate = rates.get(rows[name]["precision"], rates["fp32"])
        results.append(
            {
                "model": shape,
                "portable": base.endswith(PORTABLE),
                "precision": rows[name]["precision"],
                "form": graph_name(rows[name]["form"], rows[name].get("block_tokens")),
                "recipe": rows[name].get("recipe"),
                "runs": own.runs,
                "p50_ms": own.p50 * 1e3,
                "p90_ms": own.p90 * 1e3,
                "speedup": [equal.ratio, equal.low, equal.high],
                "product": [product.ratio, product.low, product.high],
                "share_of_rate": flops / own.p50 / rate,
                "gflops": flops / 1e9,
            }
        )
    candidates = {
        name: [tried for tried in row["candidates"] if tried["case"] == case.name]
        for name, row in rows.items()
        if "candidates" in row and not name.endswith(REPLAY)
    }
    return {
        "case": case.name,
        "threads": conditions.threads,
        "gflops_per_second": {precision: rate / 1e9 for precision, rate in rates.items()},
        "models": results,
        "candidates": candidates,
    }


def render(results: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    env, weights = results["env"], results["encoder_weights"]
    shape = results["shapes"]["model"]
    lines = [
        f"# Latency, {results['provider']}",
        "",
        f"{env['cpu']}, {env['cores']} cores ({', '.join(env['flags'])}), onnxruntime "
        f"{env['packages']['onnxruntime'] or env['packages']['onnxruntime-gpu']}"
        + (f"; {env['gpu']}, driver {env['driver']}" if results["provider"] == "cuda" else "")
        + ". Random weights. p50 of each file in its own process, in turn.",
        "",
        f"The pruned shape: hidden {shape['hidden']}; heads {_words(shape['heads'])}; "
        f"FFN {_words(shape['ffn'])}; {weights['model']:,} encoder weights of "
        f"{weights['dense']:,}.",
        "",
        "Speedup is over BERT-base in the same precision and graph, or PyTorch; product is over "
        "BERT-base in fp32: pruning, precision and graph together. Share is that of the rate which "
        "large products, (512, 768) by (768, 3072) on a processor, reached in the same turns, "
        "those of 8 bits counted against fp32; it counts the operations of the products that the "
        "graph holds: a lean one has fewer, for the dense model too.",
    ]
    for case in results["cases"]:
        rates = "; ".join(
            f"{precision} {value:.0f} GFLOP/s"
            for precision, value in case["gflops_per_second"].items()
        )
        lines += [
            "",
            f"## {case['case']}, {case['threads']} threads ({rates})",
            "",
            "| model | encoder weights | precision | graph | p50 ms | speedup (95 %) | product "
            "(95 %) | share |",
            "|---|---:|---|---|---:|---:|---:|---:|",
        ]
        for row in case["models"]:
            form = row["form"] + (f", {row['recipe']}" if row["recipe"] else "")
            lines.append(
                f"| {NAMES.get(row['model'], row['model'])}"
                f"{', --portable' if row['portable'] else ''} | {weights[row['model']]:,} | "
                f"{row['precision']} | {form} | {row['p50_ms']:.2f} | {_ratio(row['speedup'])} | "
                f"{_ratio(row['product'])} | {100 * row['share_of_rate']:.0f} % |"
            )
        lines += [
            "",
            "| tried for the pruned shape | precision | p50 ms | speedup | over |",
            "|---|---|---:|---:|---|",
        ]
        for file, rows in case["candidates"].items():
            precision = file.removeprefix("model").strip("_") or "fp32"
            for row in rows:
                of = (row["ratio"], *row["interval"])
                lines.append(
                    f"| {row['name']} | {precision} | {row['p50_ms']:.2f} | {_ratio(of)} | "
                    f"{row['vs']} |"
                )
    return "\n".join([*lines, ""])


def _ratio(of: Any) -> str:
    return f"{of[0]:.2f}× ({of[1]:.2f} to {of[2]:.2f})"


def _words(values: list[int]) -> str:
    return " ".join(map(str, values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    provider = options.provider
    if provider == "cpu":
        cores = machine.physical_cores()
        groups = [((1,), (128,), 1, "int8"), ((32,), (128,), cores, "int8")]
    else:
        groups = [((1, 8, 32, 128), (128, 384), 1, "fp16")]
    env = machine.describe_machine().model_dump() | {
        "packages": machine.versions("onnxruntime", "onnxruntime-gpu", "onnx", "torch")
    }
    results: dict[str, Any] = {
        "provider": provider,
        "env": env,
        "shapes": {name: asdict(shape) for name, shape in SHAPES.items()},
        "encoder_weights": {name: encoder_weights(s.model()) for name, s in SHAPES.items()},
        "cases": [],
    }
    with tempfile.TemporaryDirectory() as root:
        for place, (batch, seq_len, threads, precision) in enumerate(groups):
            runs = 40 if batch == (1,) or provider == "cuda" else 12
            schedule = Schedule(runs=runs, rounds=6, warmup=2, max_seconds=60)
            trial = Schedule(runs=runs, rounds=6, warmup=1, max_seconds=6)
            conditions = Conditions(provider, threads, batch, seq_len, trial)
            for row in run_group(conditions, precision, schedule, Path(root) / str(place)):
                results["cases"].append(row)
                file = HERE / f"results-{provider}.json"
                file.write_text(json.dumps(results, indent=1) + "\n")
                file.with_suffix(".md").write_text(render(results))
                print(f"{row['case']} done", flush=True)


if __name__ == "__main__":
    main()
