"""Small parts of training: schedules, precision, teacher outputs."""

import math
import os
import signal
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cofi_cli.architectures import load_dense, load_tokenizer
from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.lagrangian import Lagrangian, ramp_power, ramped_target
from cofi_cli.pruning.plan import everything
from cofi_cli.pruning.sparsity import EncoderShape
from cofi_cli.tasks import KINDS, collate, load_task
from cofi_cli.tolerances import COMPACT
from cofi_cli.training.evaluation import INPUTS
from cofi_cli.training.outcome.masked_vs_compact import assert_parity
from cofi_cli.training.session import Session
from cofi_cli.training.stages import precision as p
from cofi_cli.training.stages.interrupts import stop_flag
from cofi_cli.training.stages.optim import WeightOptimizer, clip_gradients, linear_decay
from cofi_cli.training.stages.schedule import total_steps
from cofi_cli.training.stages.seeding import derive
from cofi_cli.training.teacher.outputs import TeacherOutputs, real_positions, select_positions
from tests.tiny import batch


@pytest.mark.parametrize(
    ("power", "expected"),
    [(1, [0.0, 0.0, 0.2, 0.4, 0.8, 0.8]), (3, [0.0, 0.0, 0.4625, 0.7, 0.8, 0.8])],
)
def test_the_target_rises_over_the_ramp(power: int, expected: list[float]) -> None:
    ramp = {"start": 10, "ramp_steps": 4, "target": 0.8, "power": power}
    targets = [ramped_target(step, **ramp) for step in (0, 9, 10, 11, 13, 99)]
    assert targets == pytest.approx(expected)
    assert ramped_target(0, start=0, ramp_steps=0, target=0.5, power=power) == 0.5


@pytest.mark.parametrize(
    ("ramp", "steps", "power"), [("cubic", 24, 3), ("cubic", 23, 1), ("linear", 900, 1)]
)
def test_a_short_ramp_is_linear(ramp: str, steps: int, power: int) -> None:
    assert ramp_power(ramp, ramp_steps=steps) == power


def test_the_multipliers_ascend() -> None:
    """dL/dλ₁ = ŝ - t and dL/dλ₂ = (ŝ - t)²."""
    constraint = Lagrangian()
    expected = torch.tensor(0.7, requires_grad=True)
    constraint(expected, 0.9).backward()
    assert constraint.lambda1.grad is not None and constraint.lambda2.grad is not None
    assert constraint.lambda1.grad.item() == pytest.approx(-0.2)
    assert constraint.lambda2.grad.item() == pytest.approx(0.04)


def test_linear_decay_with_warm_up() -> None:
    factors = [linear_decay(s, 10, warmup=2) for s in range(10)]
    assert factors[:3] == [0.5, 1.0, 1.0] and factors[-1] == pytest.approx(1 / 8)


def test_total_steps_round_up() -> None:
    assert total_steps(100, batch_size=32, epochs=2) == 8
    assert total_steps(100, batch_size=32, epochs=0.3) == math.ceil(1.2)


def test_seeds_of_different_purposes_differ() -> None:
    assert derive(57, "prune", 1) != derive(57, "prune", 2) != derive(58, "prune", 2)
    assert derive(57, "prune", 1) == derive(57, "prune", 1)


@pytest.mark.parametrize(
    ("hidden", "gain", "expected"),
    [
        (384, 2.7, "bf16"),
        (128, 2.7, "bf16"),
        (64, 2.7, "fp32"),
        (384, 0.5, "fp32"),
        (384, 1.1, "fp32"),
    ],
)
def test_automatic_precision(hidden: int, gain: float, expected: str) -> None:
    cpu = torch.device("cpu")
    assert p.resolve_precision("auto", device=cpu, hidden=hidden, gain=gain) == expected
    assert p.resolve_precision("bf16", device=cpu, hidden=8, gain=0.0) == "bf16"


def test_bf16_is_not_measured_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(p, "cpu_flags", lambda: ["avx512f"])
    assert p.bf16_gain(torch.device("cpu")) == 0.0
    monkeypatch.setattr(p, "cpu_flags", lambda: ["avx512_bf16"])
    assert p.bf16_gain(torch.device("cpu")) > 0.0


@pytest.mark.parametrize("has_units", [True, False])
def test_a_gpu_that_emulates_bf16_is_not_said_to_be_fast(
    has_units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return has_units or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    cuda = torch.device("cuda")
    gain = p.bf16_gain(cuda)
    expected = "bf16" if has_units else "fp32"
    assert p.resolve_precision("auto", device=cuda, hidden=768, gain=gain) == expected


@pytest.mark.parametrize("bound", [0.5, 1e3])
def test_clips_as_torch_does(bound: float) -> None:
    weights = [torch.zeros(shape, requires_grad=True) for shape in ((5, 3), (7,), (2,))]
    copies = [torch.zeros_like(w, requires_grad=True) for w in weights[:2]]
    for weight, copy in zip(weights, copies):  # the last has no gradient
        weight.grad = torch.randn_like(weight)
        copy.grad = weight.grad.clone()
    clip_gradients(weights, bound)
    torch.nn.utils.clip_grad_norm_(copies, bound, foreach=True)
    for weight, copy in zip(weights, copies):
        assert weight.grad is not None and copy.grad is not None
        assert torch.allclose(weight.grad, copy.grad, rtol=1e-6)


def test_clips_sparse_gradients_as_dense_ones() -> None:
    gradients = []
    for sparse in (False, True):
        table = torch.nn.Embedding(20, 3, sparse=sparse)
        torch.nn.init.ones_(table.weight)
        table(torch.tensor([3, 3, 5])).square().sum().backward()
        clip_gradients([table.weight], 0.1)
        gradients.append(table.weight.grad)
    assert gradients[1] is not None and gradients[1].is_sparse
    assert torch.allclose(gradients[0], gradients[1].to_dense())


def _trained(rows: int, reads: list[list[int]]) -> torch.Tensor:
    """Return a table of ``rows`` after a step for each batch of ids."""
    torch.manual_seed(0)
    table = torch.nn.Embedding(rows, 4)
    optimizer = WeightOptimizer([table], weight_decay=0.0)
    for ids in reads:
        optimizer.step(table(torch.tensor(ids)).square().sum(), rate=0.1, clip=1e9)
    return table.weight.detach()


def test_large_embeddings_learn_as_small_ones_where_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    always = [[*range(8), 3, 3]] * 4
    dense = _trained(8, always)
    monkeypatch.setattr("cofi_cli.training.stages.optim._LARGE", 8)
    assert torch.allclose(_trained(8, always), dense, atol=1e-5)


def test_rows_that_no_batch_reads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    start = _trained(8, [])
    monkeypatch.setattr("cofi_cli.training.stages.optim._LARGE", 8)
    after = _trained(8, [[1, 2], [2, 5]])
    assert (start != after).any(dim=1).nonzero().flatten().tolist() == [1, 2, 5]


def test_an_optimizer_goes_on_from_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cofi_cli.training.stages.optim._LARGE", 8)
    model = torch.nn.Sequential(torch.nn.Embedding(8, 4), torch.nn.Linear(4, 1))
    other = torch.nn.Sequential(torch.nn.Embedding(8, 4), torch.nn.Linear(4, 1))
    first, second = (WeightOptimizer([m], weight_decay=0.1) for m in (model, other))

    def step(which: torch.nn.Module, optimizer: WeightOptimizer) -> None:
        optimizer.step(which(torch.tensor([1, 2, 2])).square().sum(), rate=0.01, clip=1.0)

    step(model, first)
    other.load_state_dict(model.state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))
    step(model, first)
    step(other, second)
    for a, b in zip(model.parameters(), other.parameters()):
        assert torch.equal(a, b)


def test_bf16_agrees_with_fp32(bert_folder: Path) -> None:
    """bf16 keeps 8 bits: logits and gradients agree to a few per cent of their size."""
    results = {}
    for precision in ("fp32", "bf16"):
        model = load_dense(str(bert_folder), num_labels=2).eval()
        with p.autocast(precision, torch.device("cpu")):
            logits = model.run(**batch()).logits.float()
        logits.square().sum().backward()
        weight = model.model.encoder.layers[0].ffn.up.weight
        results[precision] = (logits.detach(), weight.grad)
    for full, half in zip(*results.values(), strict=True):
        assert (full - half).norm() / full.norm() < 0.05


@pytest.fixture
def outputs(bert_folder: Path, reviews: Path) -> TeacherOutputs:
    task = load_task(TaskConfig(name="sst2", data=str(reviews), max_length=24))
    encoded = KINDS["classification"].encode(
        task.splits["train"], load_tokenizer(str(bert_folder)), 24
    )
    return TeacherOutputs(
        load_dense(str(bert_folder), num_labels=2),
        encoded,
        taps=[0, 2],
        pad_id=0,
        device=torch.device("cpu"),
        budget_gb=1.0,
    )


def test_kept_teacher_outputs_are_the_teachers(outputs: TeacherOutputs) -> None:
    """In another batch than they were computed in, row for row."""
    outputs.prepare()
    rows = [5, 0, 17, 3]
    inputs = collate(outputs.encoded, rows, pad_id=0)
    logits, taps = outputs.get(inputs, rows)
    with torch.no_grad():
        live = outputs.teacher.run(**{k: inputs[k] for k in INPUTS})
    positions = real_positions(inputs)
    torch.testing.assert_close(logits, live.logits, atol=1e-5, rtol=1e-5)
    for place, tap in enumerate(outputs.taps):
        expected = select_positions(live.states[tap + 1], positions)
        torch.testing.assert_close(taps[place], expected, atol=1e-5, rtol=1e-5)


def test_outputs_that_do_not_fit_are_not_kept(outputs: TeacherOutputs) -> None:
    small = TeacherOutputs(
        outputs.teacher,
        outputs.encoded,
        taps=[0, 2],
        pad_id=0,
        device=torch.device("cpu"),
        budget_gb=outputs.needed_gb / 2,
    )
    small.prepare()
    assert not small.is_kept and not small.is_ready


def test_padding_in_the_loss_keeps_nothing(outputs: TeacherOutputs) -> None:
    padded = TeacherOutputs(
        outputs.teacher,
        outputs.encoded,
        taps=[0],
        pad_id=0,
        device=torch.device("cpu"),
        budget_gb=1.0,
        mask_padding=False,
    )
    assert not padded.is_kept


def test_outputs_stay_on_a_gpu_with_room(
    outputs: TeacherOutputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outputs._home() == torch.device("cpu")
    outputs.device, needed = torch.device("cuda"), outputs.needed_gb * 1e9
    for free, home in ((4.1 * needed, "cuda"), (3.9 * needed, "cpu")):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 8e10))
        assert outputs._home() == torch.device(home)


def test_lengths_are_rounded_where_bf16_products_are_compiled() -> None:
    def rounds(device: str, precision: str, *, mask_padding: bool = True) -> bool:
        config = SimpleNamespace(distill=SimpleNamespace(mask_padding=mask_padding))
        session = SimpleNamespace(device=torch.device(device), config=config)
        return Session.rounds_lengths(session, precision)  # type: ignore[arg-type]

    assert rounds("cpu", "bf16") and not rounds("cpu", "fp32") and not rounds("cuda", "bf16")
    assert not rounds("cpu", "bf16", mask_padding=False), "padding would count in the loss"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no hang-up")
def test_a_closed_terminal_stops_a_run_unless_it_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with stop_flag() as flag:
            os.kill(os.getpid(), signal.SIGHUP)
            assert flag.is_set
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with stop_flag() as flag:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not flag.is_set
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("factor", "outcome"), [(0.5, None), (20, "warning"), (200, "error")])
def test_a_compact_model_may_differ_by_rounding(
    bert_folder: Path,
    outputs: TeacherOutputs,
    factor: float,
    outcome: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    student = load_dense(str(bert_folder), num_labels=2)
    plan = everything(EncoderShape.of(student.config))
    small = compact(student, plan)
    with torch.no_grad():
        student.classifier.weight.zero_()
        small.classifier.weight.zero_()  # the logits are the biases alone
        small.classifier.bias += factor * COMPACT
    session = SimpleNamespace(
        splits={"validation": outputs.encoded}, pad_id=0, device=torch.device("cpu")
    )
    if outcome == "error":
        with pytest.raises(CofiError, match="differs from the masked one") as caught:
            assert_parity(session, student, small, plan)  # type: ignore[arg-type]
        assert caught.value.exit_code == 4
        return
    delta = assert_parity(session, student, small, plan)  # type: ignore[arg-type]
    assert delta == pytest.approx(factor * COMPACT, rel=0.01)
    assert ("differs from the masked one" in caplog.text) == (outcome == "warning")
