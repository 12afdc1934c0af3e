"""Randomness as a function of (seed, stage, step), so that a resumed run repeats it."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *parts: object) -> int:
    """Return a 63-bit seed for a purpose named by ``parts``."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *parts: object) -> torch.Generator:
    """Return a CPU generator for a purpose."""
    return torch.Generator().manual_seed(derive(seed, *parts))


def seed_global(seed: int, *parts: object) -> None:
    """Seed torch's global state (dropout, initialisation) for a purpose."""
    torch.manual_seed(derive(seed, *parts))
