"""The command ``cofi``: its parts, and what becomes of errors."""

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
from cofi_cli.cli.presets import presets
from cofi_cli.cli.prune import prune
from cofi_cli.errors import INTERRUPTED, OK, UNEXPECTED, UNREACHABLE, USAGE, CofiError
from cofi_cli.runs import FULL, FULL_HINT

_PLACES = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EIO),
)
"""What a file system says of a place; no fault of ours."""

app = typer.Typer(
    name="cofi",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (prune, finetune, export, bench, presets):
    app.command()(command)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"cofi {__version__}")
        raise typer.Exit


@app.callback()
def cofi(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Tracebacks and all logs (or COFI_DEBUG=1).")
    ] = False,
) -> None:
    """Prune a transformer encoder, export it to ONNX, and measure what was gained."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit code."""
    if "--debug" in arguments:
        os.environ["COFI_DEBUG"] = "1"
        arguments = [a for a in arguments if a != "--debug"]
    try:
        code = app(args=list(arguments), prog_name="cofi", standalone_mode=False)
        if code == INTERRUPTED:  # what Typer makes of Ctrl-C outside of training
            say("Interrupted.")
        return code if isinstance(code, int) else OK
    except (KeyboardInterrupt, typer.Abort):  # what other versions of it make of Ctrl-C
        say("Interrupted.")
        return INTERRUPTED
    except Exception as error:
        if is_debug():
            traceback.print_exception(error)
        return _explain(error)


def _explain(error: Exception) -> int:
    """Show an error as the user needs it; return the exit code."""
    if isinstance(error, CofiError):
        show_error(error)
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        return UNEXPECTED
    show = getattr(error, "show", None)  # every usage error of Typer's has it
    if callable(show):
        show()
        return int(getattr(error, "exit_code", USAGE))
    if isinstance(error, OSError) and error.errno in FULL:
        place = f" while writing {error.filename}" if error.filename else ""
        show_error(CofiError(f"No space left on the device{place}.", hint=FULL_HINT))
        return UNREACHABLE
    if isinstance(error, OSError) and error.errno in _PLACES and error.filename:
        show_error(
            CofiError(
                f"Cannot use {error.filename}: {error.strerror}.",
                hint="Choose another place, for a run with -o, or change its rights.",
            )
        )
        return UNREACHABLE
    words = str(error).strip() or "no message"
    show_error(
        CofiError(
            f"{type(error).__name__}: {words.splitlines()[0]}",
            hint="This is a bug or a fault of the environment; --debug shows the traceback.",
        )
    )
    return UNEXPECTED


def main() -> None:
    """Entry point of ``cofi``."""
    replace_unknown()
    sys.exit(run(sys.argv[1:]))
