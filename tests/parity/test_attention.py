"""Attention spelled out for training in bf16 on a CPU == torch's own in fp32."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cofi_cli.modeling.encoder import attend
from cofi_cli.modeling.positions import OFF

B, H, T, D, PADDED = 3, 2, 7, 8, 2
SCALE = D**-0.5


def inputs(dtype: torch.dtype, *, learns: bool = True) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(B, H, T, D, generator=generator) for _ in range(3)]
    return [x.to(dtype).requires_grad_(learns) for x in drawn]


def bias() -> Tensor:
    closed = torch.zeros(B, 1, 1, T)
    closed[1:, ..., -PADDED:] = OFF
    return closed


@pytest.mark.parametrize("has_bias", [False, True])
def test_value_and_gradient(has_bias: bool) -> None:
    mask = bias() if has_bias else None
    q, k, v = inputs(torch.bfloat16)
    own = attend(q, k, v, mask, dropout=0.0, scale=SCALE, eager=False)
    own.float().square().sum().backward()
    full = inputs(torch.float32)
    expected = F.scaled_dot_product_attention(*full, attn_mask=mask, scale=SCALE)
    expected.square().sum().backward()
    assert own.dtype == torch.bfloat16
    torch.testing.assert_close(own.float(), expected, rtol=0, atol=0.03)
    for mine, theirs in zip((q, k, v), full, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        torch.testing.assert_close(mine.grad.float(), theirs.grad, rtol=0.05, atol=0.05)
        if has_bias and mine is not q:
            assert not mine.grad[1:, :, -PADDED:].any()


@pytest.mark.parametrize(
    ("dtype", "learns", "longest", "is_fused"),
    [
        (torch.bfloat16, True, T, False),
        (torch.bfloat16, True, T - 1, True),
        (torch.bfloat16, False, T, True),
        (torch.float32, True, T, True),
    ],
)
def test_only_the_slow_backward_pass_is_avoided(
    dtype: torch.dtype,
    learns: bool,
    longest: int,
    is_fused: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cofi_cli.modeling.encoder.SHORT", longest)
    calls, fused = [], F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or fused(*a, **k)
    )
    attend(*inputs(dtype, learns=learns), bias(), dropout=0.0, scale=SCALE, eager=False)
    assert bool(calls) == is_fused
