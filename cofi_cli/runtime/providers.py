"""Execution providers of onnxruntime: their short names, and what to say when one is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cofi_cli.errors import ENVIRONMENT, CofiError, unknown

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

UNSERVED = {
    "cpu": {
        "fp16": "onnxruntime's CPU provider has no half-precision kernels, and would compute "
        "it in fp32"
    },
    "cuda": {
        "int8": "onnxruntime's CUDA provider leaves dynamically quantised products to the processor"
    },
}
"""Provider -> precision -> why a figure for it would say nothing."""

BUILDS = ("onnxruntime", "onnxruntime-gpu")
"""Distributions that install the same module, each over the files of the other."""

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


def require_one_build(installed: Mapping[str, str | None], *, provider: str = "cpu") -> None:
    """Refuse two builds of onnxruntime: which of them is imported is chance.

    Args:
        installed: distribution -> version, ``None`` when absent.
        provider: the short name; decides which build is to be kept.

    Raises:
        CofiError: more than one of :data:`BUILDS` is installed (exit code 5).
    """
    found = [(name, version) for name in BUILDS if (version := installed.get(name)) is not None]
    if len(found) < 2:
        return
    keep = "onnxruntime-gpu" if provider == "cuda" else "onnxruntime"
    raise CofiError(
        f"{' and '.join(f'{name} {version}' for name, version in found)} are both "
        "installed. They overwrite each other's files, so that no figure could be trusted.",
        hint=f"pip uninstall -y {' '.join(BUILDS)} && pip install {keep}",
        exit_code=ENVIRONMENT,
    )


def torch_serves(provider: str) -> bool:
    """Say whether the PyTorch that is installed runs on what a provider stands for."""
    if provider == "cpu":
        return True
    import torch

    return provider == "cuda" and torch.cuda.is_available()


def why_unserved(provider: str, precision: str) -> str | None:
    """Return why a provider cannot serve a precision, ``None`` when it can."""
    return UNSERVED.get(provider, {}).get(precision)


def require_provider(
    provider: str, running: Sequence[str], *, runtime: str = "onnxruntime"
) -> None:
    """Check that the provider asked for is the one that a session really runs on.

    Args:
        provider: the short name, for example ``cuda``.
        running: what ``session.get_providers()`` says, the first choice first.
        runtime: ``onnxruntime`` or ``torch``.

    Raises:
        CofiError: it runs on another one (exit code 5).
    """
    wanted = provider_name(provider)
    if running and running[0] == wanted:
        return
    found = running[0] if running else "none"
    if runtime == "torch":
        hint = "Install torch's CUDA build, or bench with --no-torch."
    else:
        hint = CUDA_HINT if provider == "cuda" else "Reinstall onnxruntime."
    raise CofiError(
        f"Provider '{provider}' was asked for, but {runtime} runs on {found}.",
        hint=hint,
        exit_code=ENVIRONMENT,
    )
