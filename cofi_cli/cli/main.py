"""The command ``cofi``: its subcommands, and how errors are shown."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from cofi_cli import __version__
from cofi_cli.cli.bench import bench
from cofi_cli.cli.console import is_debug, replace_unknown, say, show_error
from cofi_cli.cli.export import export
from cofi_cli.cli.finetune import finetune
from cofi_cli.cli.pick import pick
from cofi_cli.cli.presets import presets
from cofi_cli.cli.prune import prune
from cofi_cli.errors import (
    ENVIRONMENT,
    INTERRUPTED,
    OK,
    UNEXPECTED,
    UNREACHABLE,
    USAGE,
    CofiError,
    is_out_of_memory,
)
from cofi_cli.runs import FULL, FULL_HINT

_PLACES = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EIO),
)
"""Errors of the file system about a place; none of them is a bug of cofi."""

app = typer.Typer(
    name="cofi",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (prune, pick, finetune, export, bench, presets):
    app.command()(command)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"cofi {__version__}")
        raise typer.Exit


@app.callback()
def cofi(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and all logs (or set COFI_DEBUG=1).")
    ] = False,
) -> None:
    """Prune a transformer encoder, export it to ONNX, and measure the speedup."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit code."""
    if "--debug" in arguments:
        os.environ["COFI_DEBUG"] = "1"
        arguments = [a for a in arguments if a != "--debug"]
    try:
        code = app(args=list(arguments), prog_name="cofi", standalone_mode=False)
        if code == INTERRUPTED:  # Typer's code for Ctrl-C outside of training
            say("Interrupted.")
        return code if isinstance(code, int) else OK
    except (KeyboardInterrupt, typer.Abort):  # the same in other versions of Typer
        say("Interrupted.")
        return INTERRUPTED
    except Exception as error:
        if is_debug():
            traceback.print_exception(error)
        return _explain(error)


def _explain(error: Exception) -> int:
    """Show an error without a traceback; return the exit code."""
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        return UNEXPECTED
    show = getattr(error, "show", None)  # usage errors of Typer have it
    if callable(show):
        show()
        return int(getattr(error, "exit_code", USAGE))
    told = error if isinstance(error, CofiError) else _told(error)
    show_error(told)
    return told.exit_code


def _told(error: Exception) -> CofiError:
    """Return an error of Python or a library as the user reads it."""
    if isinstance(error, OSError) and error.errno in FULL:
        place = f" while writing {error.filename}" if error.filename else ""
        return CofiError(
            f"No space left on the device{place}.", hint=FULL_HINT, exit_code=UNREACHABLE
        )
    if isinstance(error, OSError) and error.errno in _PLACES and error.filename:
        return CofiError(
            f"Cannot use {error.filename}: {error.strerror}.",
            hint="Choose another place (for a run: -o DIR), or change its permissions.",
            exit_code=UNREACHABLE,
        )
    if is_out_of_memory(error):
        hint = "Make batches smaller, or end other programs."
        return CofiError("Out of memory.", hint=hint, exit_code=ENVIRONMENT)
    words = str(error).strip() or "no message"
    return CofiError(
        f"{type(error).__name__}: {words.splitlines()[0]}",
        hint="This is a bug or a problem of the environment; --debug shows the traceback.",
        exit_code=UNEXPECTED,
    )


def main() -> None:
    """Entry point of ``cofi``."""
    replace_unknown()
    sys.exit(run(sys.argv[1:]))
