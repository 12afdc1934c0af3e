"""What one pruning step costs, by expected sparsity and precision, on a real encoder.

    python benchmarks/step.py [--threads 2] [--device cuda] [--model FOLDER]

Times forward, backward and optimiser of a step as the pruning stage takes it, batch 32 of 24
tokens, on random gates of a given expected sparsity; random ids, so cost only. It is what the
rule of `--precision auto` rests on. Writes a Markdown table to stdout.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from cofi_cli.architectures import load_dense
from cofi_cli.modeling import CofiForSequenceClassification, Masks
from cofi_cli.pruning.gates import Gates
from cofi_cli.pruning.sparsity import EncoderShape
from cofi_cli.training.stages.optim import WeightOptimizer
from cofi_cli.training.stages.precision import autocast

ROWS, LENGTH, STEPS = 32, 24, 8


def gates_at(shape: EncoderShape, target: float) -> Gates:
    """Return spread-out gates of an expected sparsity."""
    gates = Gates(shape)
    generator = torch.Generator().manual_seed(0)
    for name in gates.learned:
        alpha = gates.get_parameter(name)
        alpha.data = 2 * torch.randn(alpha.shape, generator=generator)
    gates.hidden.data.fill_(3.0)
    gates.hold(target)
    return gates


def time_step(
    model: CofiForSequenceClassification, gates: Gates | None, precision: str
) -> list[float]:
    """Return the seconds of each step."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1000, 3000, (ROWS, LENGTH), generator=generator)
    mask = torch.ones_like(ids)
    mask[::3, LENGTH - 4 :] = 0
    ids, mask = ids.to(device), mask.to(device)
    optimizer = WeightOptimizer([model], weight_decay=0.0)
    seconds = []
    for _ in range(STEPS + 2):
        began = time.perf_counter()
        masks: Masks | None = None if gates is None else gates.sample(generator)
        with autocast(precision, device):
            out = model.run(ids, mask, masks=masks)
            loss = out.logits.float().square().sum()
            loss = loss + sum(state.float().square().mean() for state in out.states[1:])
        optimizer.step(loss, rate=1e-6, clip=1.0)
        loss.item()  # a GPU has done its part when this is here
        seconds.append(time.perf_counter() - began)
    return seconds[2:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="demo", help="a folder or a hub name")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = load_dense(options.model, num_labels=2).train().to(options.device)
    model.model.encoder.embeddings.requires_grad_(False)
    shape = EncoderShape.of(model.config)
    print("| sparsity | fp32, ms | bf16, ms | fp32, examples/s | bf16, examples/s |")
    print("|---:|---:|---:|---:|---:|")
    for target in (None, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95):
        gates = None if target is None else gates_at(shape, target)
        medians = [statistics.median(time_step(model, gates, p)) for p in ("fp32", "bf16")]
        name = "dense" if target is None else f"{target:g}"
        milliseconds = " | ".join(f"{1e3 * value:.0f}" for value in medians)
        rates = " | ".join(f"{ROWS / value:.0f}" for value in medians)
        print(f"| {name} | {milliseconds} | {rates} |")


if __name__ == "__main__":
    main()
