"""The tables: scores by sparsity, by seed, and costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runs import mean_interval
from tasks import MODEL, RIVALS, ROWS, WITH_TEXT

Json = dict[str, Any]
WHO: Mapping[str, str] = {
    "teacher": "teacher",
    "ours": "ours",
    WITH_TEXT: "ours, with text",
    "word_vectors": "word vectors",
    "fixed_structure": "fixed structure",
    "graph_pruning": "onnxsim",
}
SPLITS = ("validation", "test")
_EMPTY = ""


def render(results: Mapping[str, Any], model: str = MODEL) -> str:
    """Return the tables as Markdown.

    Args:
        results: task -> sparsity -> seed -> who -> row.
        model: the encoder's name.
    """
    lines = [
        f"# Quality, {'all-MiniLM-L6-v2' if model == MODEL else model}",
        "",
        "Points on the dev set / on the test set where it has labels, mean over seeds with its",
        "95 % interval (Student's t). `word vectors`: their mean and a hidden layer, no encoder,",
        "trained on labels. `ours, with text`: in as many steps, without changed copies, with",
        "19,455 unlabelled sentences of encyclopedia articles, answered by the teacher.",
        "`fixed structure`: as many weights as ours, spread evenly over layers,",
        "distilled for as many steps. `onnxsim`: its structured pruning of the dense graph.",
        "",
        f"| task | sparsity | seeds | {' | '.join(WHO.values())} |",
        f"|---|---:|---:|{'---:|' * len(WHO)}",
    ]
    lines += [_scores(*group) for group in _groups(results)]
    behind = [text for group in _groups(results) if (text := _behind(*group))]
    if any(
        rival in row for *_, seeds in _groups(results) for row in seeds.values() for rival in RIVALS
    ):
        lines += ["", "Ours is behind or level on the dev set, by the mean:", ""]
        lines += [f"- {text}" for text in behind] or ["- nowhere."]
    lines += [
        "",
        "By seed, the headline metric, dev / test:",
        "",
        f"| task | sparsity | seed | {' | '.join(WHO.values())} |",
        f"|---|---:|---:|{'---:|' * len(WHO)}",
    ]
    for name, sparsity, seeds in _groups(results):
        for seed, row in seeds.items():
            cells = [_cell([row], who) for who in WHO]
            lines.append(f"| {name} | {_percent(sparsity)} | {seed} | {' | '.join(cells)} |")
    lines += [
        "",
        "Costs, means over seeds. Weights: of attention and FFN. Minutes: training without",
        "evaluation. Latency: onnxruntime, batch 1, median; `ours` int8 beside fp32.",
        "",
        "| task | sparsity | | weights | minutes | fp32 ms | int8 ms | fp32 MB | int8 MB |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, sparsity, seeds in _groups(results):
        for who in WHO:
            lines += _costs(name, sparsity, who, [row[who] for row in seeds.values() if who in row])
    lines += ["", "| task | budget | where |", "|---|---|---|"]
    lines += [line for name, row in results.items() for line in _budgets(name, row)]
    return "\n".join([*lines, ""])


def _budgets(name: str, row: Mapping[str, Json]) -> Iterator[str]:
    """Yield a task's budgets, each with the sparsities that had it where there are several."""
    having: dict[tuple[str, str], set[str]] = {}
    for sparsity in sorted(row, key=float):
        for cell in row[sparsity].values():
            budget = ", ".join(f"{key} {value}" for key, value in cell["budget"].items())
            having.setdefault((budget, cell["environment"]), set()).add(_percent(sparsity))
    note = f"; {ROWS[name].note}" if ROWS[name].note else _EMPTY
    for (budget, environment), sparsities in having.items():
        where = f", {' and '.join(sorted(sparsities))}" if len(having) > 1 else ""
        yield f"| {name}{where} | {budget}{note} | {environment} |"


def _groups(results: Mapping[str, Any]) -> Iterator[tuple[str, str, Json]]:
    for name, row in results.items():
        for sparsity in sorted(row, key=float):
            yield name, sparsity, row[sparsity]


def _scores(name: str, sparsity: str, seeds: Json) -> str:
    rows = list(seeds.values())
    cells = [_cell(rows, who) for who in WHO]
    metric = rows[0]["teacher"]["metric"]
    return f"| {name} ({metric}) | {_percent(sparsity)} | {len(rows)} | {' | '.join(cells)} |"


def _cell(rows: Sequence[Json], who: str) -> str:
    parts = [mean_interval(found) for split in SPLITS if (found := _values(rows, who, split))]
    if parts:
        return " / ".join(parts)
    return next((row[who]["missing"] for row in rows if "missing" in row.get(who, {})), _EMPTY)


def _values(rows: Sequence[Json], who: str, split: str) -> list[float]:
    """Return the headline metric of those rows that have it."""
    return [
        row[who]["scores"][split][row["teacher"]["metric"]]
        for row in rows
        if split in row.get(who, {}).get("scores", {})
    ]


def _behind(name: str, sparsity: str, seeds: Json) -> str:
    """Say which rivals ours does not beat."""
    rows = list(seeds.values())
    ours = _mean(_values(rows, "ours", "validation"))
    ahead = []
    for who in RIVALS:
        common = [row for row in rows if _values([row], who, "validation")]
        if common and _mean(_values(common, who, "validation")) >= _mean(
            _values(common, "ours", "validation")
        ):
            ahead.append(f"{WHO[who]} {_mean(_values(common, who, 'validation')):.1f}")
    where = f"{name}, {_percent(sparsity)}"
    return f"{where}: {', '.join(ahead)} against {ours:.1f}" if ahead else _EMPTY


def _costs(name: str, sparsity: str, who: str, rows: Sequence[Json]) -> Iterator[str]:
    known = [row for row in rows if "scores" in row]
    if not known:
        return
    timed = [row for row in known if "p50_ms" in row]
    plain, small = _files(timed, who)
    sizes = [row["onnx_bytes"][plain] for row in timed] or [row["bytes"] for row in known]
    cells = [
        name,
        _percent(sparsity),
        WHO[who],
        f"{_mean([row['weights'] for row in known]):,.0f}",
        f"{_mean([row['minutes'] for row in known]):.1f}",
        _shown([row["p50_ms"][plain] for row in timed], 2),
        _shown([row["p50_ms"][small] for row in timed if small in row["p50_ms"]], 2),
        _shown([size / 1e6 for size in sizes], 1),
        _shown([row["onnx_bytes"][small] / 1e6 for row in timed if small in row["p50_ms"]], 1),
    ]
    yield f"| {' | '.join(cells)} |"


def _files(timed: Sequence[Json], who: str) -> tuple[str, str]:
    """Return what a benchmark calls the fp32 and the int8 file."""
    if who == "teacher":
        return "dense", "dense_int8"
    names = {name for row in timed for name in row["p50_ms"]}
    plain = "model" if "model" in names or not names else sorted(names)[0]
    return plain, f"{plain}_int8"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _shown(values: Sequence[float], digits: int) -> str:
    return f"{_mean(values):.{digits}f}" if values else _EMPTY


def _percent(sparsity: str) -> str:
    return f"{100 * float(sparsity):.0f} %"
