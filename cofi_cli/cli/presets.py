"""``cofi presets``."""

from __future__ import annotations

from typing import Annotated

import typer

from cofi_cli import presets as library
from cofi_cli.cli import options as o
from cofi_cli.cli.console import prepare, show_json, show_lines

_OWN = (
    "Your own files: --train FILE --validation FILE",
    "Texts without labels, and a fine-tuned teacher: --train FILE.txt --unlabelled --teacher DIR",
)


def presets(
    name: Annotated[str | None, typer.Argument(help="Preset to print, with its comments.")] = None,
    tasks: Annotated[bool, typer.Option("--tasks", help="List the built-in tasks.")] = False,
    as_json: o.Json = False,
) -> None:
    """List the presets, print one of them, or list the built-in tasks."""
    prepare()
    if tasks:
        _show_tasks(as_json=as_json)
    elif name is not None:
        text = library.preset_text(name)
        if as_json:
            show_json(dict(library.preset_layer(name).values))
        else:
            show_lines([text.rstrip("\n")])
    else:
        found = {n: library.preset_summary(n) for n in library.preset_names()}
        if as_json:
            show_json(found)
        else:
            width = max(map(len, found))
            show_lines([f"{n.ljust(width)}  {summary}" for n, summary in found.items()])


def _show_tasks(*, as_json: bool) -> None:
    from cofi_cli.tasks import task_names

    rows = {task: library.choose_preset(task) or "" for task in task_names()}
    if as_json:
        show_json(rows)
        return
    width = max(map(len, rows))
    lines = [f"{task.ljust(width)}  preset {preset}" for task, preset in rows.items()]
    show_lines([*lines, *_OWN])
