"""README and docs/: every command parses, every setting exists, every snippet and link holds."""

from __future__ import annotations

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from cofi_cli.cli.main import app
from cofi_cli.config_errors import config_keys
from cofi_cli.presets import parse_override, preset_names

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.name != "log.md"
}
"""Pages for users and contributors; the log tells of the past and keeps its commands."""
GROUP: Any = typer.main.get_command(app)
FILES = ("csv", "tsv", "conll", "json", "txt", "jsonl", "onnx")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def inline(text: str) -> list[str]:
    """Return the code within sentences, line ends as spaces."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def commands(text: str) -> list[list[str]]:
    """Return the arguments of each ``cofi`` command of a page."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    own = [line for line in (*lines, *inline(text)) if line.startswith("cofi ")]
    return [shlex.split(line, comments=True)[1:] for line in own]


def is_checked(words: list[str]) -> bool:
    return not words[0].startswith("-")  # cofi --help


@pytest.mark.parametrize("page", PAGES)
def test_every_command_parses(page: str) -> None:
    for words in filter(is_checked, commands(PAGES[page])):
        command = GROUP.commands[words[0]]
        parameters = command.make_context(words[0], words[1:]).params
        for override in parameters.get("overrides") or ():
            assert _keys(parse_override(override).values) <= set(config_keys()), override
        if "preset" in parameters and parameters["preset"] is not None:
            assert parameters["preset"] in preset_names()
        if words[0] == "presets" and parameters["name"] is not None:
            assert parameters["name"] in preset_names()


def _keys(values: Any, prefix: str = "") -> set[str]:
    if not isinstance(values, dict):
        return {prefix.rstrip(".")}
    return {key for name, value in values.items() for key in _keys(value, f"{prefix}{name}.")}


def test_the_pages_have_commands() -> None:
    assert {"prune", "export", "bench", "finetune", "presets"} <= {
        words[0] for text in PAGES.values() for words in commands(text)
    }
    assert len([words for text in PAGES.values() for words in commands(text)]) > 40


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_exists(page: str) -> None:
    known = {opt for p in GROUP.params for opt in p.opts}
    for command in GROUP.commands.values():
        known |= {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)}
    named = {
        flag
        for code in inline(PAGES[page])
        for flag in re.findall(r"(?<![\w-])--[a-z][\w-]+", code)
    }
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_exists(page: str) -> None:
    sections = {key.partition(".")[0] for key in config_keys() if "." in key}
    for code in inline(PAGES[page]):
        match = re.fullmatch(rf"(?:--set )?((?:{'|'.join(sections)})\.(\w+))(=.*)?", code)
        if match and match[2] not in FILES:
            assert match[1] in config_keys(), code


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        if target.startswith("http"):
            continue
        name, _, part = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if part:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert part in {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_is_python_and_its_names_exist(page: str) -> None:
    for code in blocks(PAGES[page], "python"):
        for node in ast.walk(ast.parse(code, page)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cofi_cli"):
                module = import_module(str(node.module))
                assert [a.name for a in node.names if not hasattr(module, a.name)] == []


def test_a_configuration_is_made_as_the_page_says() -> None:
    (code,) = [c for c in blocks(PAGES["docs/python.md"], "python") if "resolve_config" in c]
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["config"].prune.epochs == names["values"]["prune"]["epochs"]
    assert names["config"].task.name == "mrpc"


def test_the_tables_of_figures_are_marked() -> None:
    text = PAGES["README.md"]
    for name in ("results", "demo"):
        start, end = text.index(f"<!-- {name} -->"), text.index(f"<!-- /{name} -->")
        assert text[start:end].count("|---") >= 1


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = PAGES["README.md"]
    assert 100 <= len(text.splitlines()) <= 150
    assert [page for page in PAGES if page != "README.md" and f"({page})" not in text] == []
