"""The only errors that a user sees without a traceback."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

OK = 0
UNEXPECTED = 1
USAGE = 2
GATE = 3
PARITY = 4
ENVIRONMENT = 5
UNREACHABLE = 6
INTERRUPTED = 130


class CofiError(Exception):
    """A problem that the user can act on.

    Args:
        message: what is wrong: the field, the value, the choices.
        hint: what to do next, often a command.
        exit_code: the process's exit code; see the constants of this module.
    """

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


@contextmanager
def reading(what: str, *, hint: str = "Copy or download it again.") -> Iterator[None]:
    """Guard a reader of somebody else's files: whatever is wrong in them is one clear error.

    Args:
        what: that is read, with the name of its file or folder.
        hint: what to do next.

    Raises:
        CofiError: the block failed by another error (exit code 6); those of the file system
            itself, such as a full disk, go through.
    """
    try:
        yield
    except CofiError:
        raise
    except Exception as error:  # libraries fail in many ways over what they do not expect
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise CofiError(
            f"{what} cannot be used: {reason(error)}.", hint=hint, exit_code=UNREACHABLE
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up; Python, torch and onnxruntime say it each."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(said in words for said in ("out of memory", "allocate memory", "enough memory"))
    )


@contextmanager
def enough_memory(what: str, *, batch_size: int, setting: str) -> Iterator[None]:
    """Guard what computes in batches: used up memory is an error that names a smaller batch.

    Args:
        what: that is computed.
        batch_size: its rows.
        setting: the flag and its value's key, such as ``--set prune.batch_size``.

    Raises:
        CofiError: memory is used up (exit code 5).
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        smaller = batch_size // 2
        raise CofiError(
            f"Out of memory {what} with batches of {batch_size}.",
            hint=f"Try {setting}={smaller} in another folder (-o DIR), or shorter rows: "
            "--max-length."
            if smaller
            else "Shorten the rows: --max-length.",
            exit_code=ENVIRONMENT,
        ) from error


def reason(error: BaseException) -> str:
    """Return why something failed, in a line; libraries say it in many, or not at all."""
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]!r} is missing"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    words = str(error).strip().partition("\n")[0].rstrip(".: ")
    return f"{words} ({type(error).__name__})" if words else type(error).__name__


def fault_in(error: ValidationError, *, first: str = "") -> str:
    """Say which value of foreign data is wrong: ``cases[1].p50_ms is 'x': input should be a ...``.

    Args:
        error: of a pydantic type.
        first: key whose fault is named before others.
    """
    item = min(error.errors(include_url=False), key=lambda one: one["loc"] != (first,))
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])
    key = "".join(parts).lstrip(".") or "its content"
    if item["type"] == "missing":
        keys = ", ".join(map(str, item["input"]))
        return f"{key} is missing. Keys there: {keys}" if keys else f"{key} is missing"
    if item["type"] == "extra_forbidden":
        return f"the key {key} is unknown"
    return f"{key} is {reprlib.repr(item['input'])}: {item['msg'][0].lower()}{item['msg'][1:]}"


def did_you_mean(value: str, choices: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest choice, or an empty string."""
    near = get_close_matches(value, list(choices), n=1, cutoff=0.5)
    return f" Did you mean '{near[0]}'?" if near else ""


def unknown(what: str, value: str, choices: Iterable[str], *, hint: str | None = None) -> CofiError:
    """Build the error for a value that is not among its choices."""
    known = sorted(choices)
    return CofiError(
        f"Unknown {what} '{value}'.{did_you_mean(value, known)} Choices: {', '.join(known)}.",
        hint=hint,
    )
