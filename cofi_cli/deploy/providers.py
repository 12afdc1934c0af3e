"""Execution providers of onnxruntime: their short names, and what to say when one is missing."""

from __future__ import annotations

from collections.abc import Sequence

from cofi_cli.errors import ENVIRONMENT, CofiError, unknown

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

CUDA_HINT = (
    "Install the GPU build in place of onnxruntime, never beside it: "
    "pip uninstall -y onnxruntime && pip install onnxruntime-gpu. "
    "Or measure the processor: --provider cpu."
)


def provider_name(provider: str) -> str:
    """Return onnxruntime's name of a provider.

    Raises:
        CofiError: the provider is not known to us.
    """
    if provider not in PROVIDERS:
        raise unknown("provider", provider, PROVIDERS)
    return PROVIDERS[provider]


def require_provider(provider: str, running: Sequence[str]) -> None:
    """Check that the provider asked for is the one that a session really runs on.

    Args:
        provider: the short name, for example ``cuda``.
        running: what ``session.get_providers()`` says, the first choice first.

    Raises:
        CofiError: it runs on another one (exit code 5).
    """
    wanted = provider_name(provider)
    if running and running[0] == wanted:
        return
    found = running[0] if running else "none"
    raise CofiError(
        f"Provider '{provider}' was asked for, but onnxruntime runs on {found}.",
        hint=CUDA_HINT if provider == "cuda" else "Reinstall onnxruntime.",
        exit_code=ENVIRONMENT,
    )
