"""The task ``demo``: which part of the standard library does this docstring document?

Real text that every machine with Python has. The sources are parsed, never imported.
"""

from __future__ import annotations

import ast
import hashlib
import logging
import platform
import re
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path

from cofi_cli.errors import ENVIRONMENT, CofiError
from cofi_cli.tasks.kinds import KINDS
from cofi_cli.tasks.rows import Split
from cofi_cli.tasks.task import Task

logger = logging.getLogger(__name__)

CLASSES = {
    "concurrency": """asyncio asynchat asyncore concurrent multiprocessing subprocess threading
        _threading_local _weakrefset queue sched selectors signal contextvars pty""",
    "gui": "tkinter turtle turtledemo idlelib curses",
    "language and import system": """importlib inspect ast dis opcode symtable tokenize token
        keyword typing types enum dataclasses abc _py_abc functools contextlib operator imp
        zipimport pkgutil runpy modulefinder pyclbr py_compile compileall linecache code codeop
        traceback warnings weakref copy copyreg _collections_abc site bdb pdb trace pydoc lib2to3
        __future__ annotationlib""",
    "network and mail": """http urllib html email mailbox mailcap mimetypes imaplib poplib smtplib
        smtpd nntplib ftplib telnetlib socket socketserver ssl ipaddress xmlrpc wsgiref cgi cgitb
        webbrowser netrc quopri uu""",
    "numbers and time": """_pydecimal fractions numbers statistics random secrets datetime
        _pydatetime _strptime zoneinfo calendar timeit heapq bisect colorsys _pylong""",
}
"""Class -> top-level modules and packages; those that this Python lacks are passed over."""

MIN_WORDS = 4
"""A shorter docstring says too little."""
ENOUGH_WORDS = 12
"""Paragraphs are added until a text has this many words."""
MAX_WORDS = 60
LARGEST_CLASS = 1200
"""A class with more rows is thinned out, so that none is a multiple of the others."""
SMALLEST_CLASS = 100
"""A class with fewer rows is left out: some systems install Python without tkinter and IDLE."""

THRESHOLD = 0.5
"""Jaccard similarity of two texts' shingles from which they count as near-duplicates."""
_WORD = re.compile(r"[^\W_]+")
_NOT_LIBRARY = {"test", "tests", "idle_test"}
_SPLITS = ("train",) * 8 + ("validation", "test")
"""The split of each of ten equal shares of the hashes."""

NOTE = (
    "A demonstration on the docstrings of Python {version}'s own standard library: which part "
    "of it does this text document? The scores show that the chain works. They differ between "
    "versions of Python and compare with no published figure."
)


def demo_task(*, max_length: int, library: Path | None = None) -> Task:
    """Build the demo task from the running Python's sources.

    A text that occurs in two classes is left out, one that repeats in its class is kept once.
    Near-duplicates share a split; the split and the thinning of large classes follow from a
    hash of the texts alone, so the splits of two versions of Python are much alike.

    Args:
        max_length: longest input in tokens.
        library: the folder of the standard library, by default that of this Python.

    Raises:
        CofiError: there are no sources to read (exit code 5).
    """
    library = library or Path(sysconfig.get_path("stdlib"))
    classes = _distinct(library)
    sizes = Counter(classes.values())
    labels = tuple(label for label in CLASSES if sizes[label] >= SMALLEST_CLASS)
    if len(labels) < 2:
        raise CofiError(
            f"The task 'demo' finds {len(classes)} docstrings below {library}: too few.",
            hint="It needs a Python with its standard library as .py files.",
            exit_code=ENVIRONMENT,
        )
    for label in CLASSES:
        if label not in labels:
            logger.warning("demo: only %d docstrings for '%s'; left out.", sizes[label], label)
    texts = sorted(text for text, label in classes.items() if label in labels)
    normalised = [normalise(text) for text in texts]
    groups = [_hash(normalised[first]) for first in group_near_duplicates(normalised)]
    chosen: dict[str, list[tuple[str, int]]] = {name: [] for name in dict.fromkeys(_SPLITS)}
    kept: Counter[str] = Counter()
    # In the order of the hashes, thinning a class takes rows at random and groups whole.
    for group, text in sorted(zip(groups, texts, strict=True)):
        label = classes[text]
        if kept[label] < LARGEST_CLASS:
            kept[label] += 1
            chosen[_SPLITS[group % len(_SPLITS)]].append((text, labels.index(label)))
    return Task(
        name="demo",
        kind=KINDS["classification"],
        labels=labels,
        metrics=("accuracy", "macro_f1"),
        splits={
            name: Split([(text,) for text, _ in rows], [label for _, label in rows])
            for name, rows in chosen.items()
        },
        max_length=max_length,
        note=NOTE.format(version=platform.python_version()),
    )


def _distinct(library: Path) -> dict[str, str]:
    """Return text -> class, each normalised text once and only where its class is clear."""
    classes: dict[str, set[str]] = defaultdict(set)
    first: dict[str, str] = {}
    for label, modules in CLASSES.items():
        for module in modules.split():
            for text in _docstrings(library, module):
                key = normalise(text)
                classes[key].add(label)
                first.setdefault(key, text)
    return {first[key]: next(iter(c)) for key, c in classes.items() if len(c) == 1}


def _docstrings(library: Path, module: str) -> Iterator[str]:
    """Yield the texts of one module or package, in the order of its files and lines."""
    single = library / f"{module}.py"
    for path in [single] if single.is_file() else sorted((library / module).rglob("*.py")):
        if _NOT_LIBRARY.intersection(path.relative_to(library).parts):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError) as error:
            logger.info("demo: passed over %s: %s", path, error)
            continue
        for node in _statements(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = _excerpt(ast.get_docstring(node) or "")
                if len(normalise(text).split()) >= MIN_WORDS:
                    yield text


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and the statements in it; passing over expressions is twice as fast."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler):
            yield from _statements(child)


def _excerpt(docstring: str) -> str:
    """Return a docstring's first paragraphs on one line, without examples."""
    words: list[str] = []
    for paragraph in docstring.split("\n\n"):
        if len(words) >= ENOUGH_WORDS or paragraph.lstrip().startswith(">>>"):
            break
        words += paragraph.split()
    return " ".join(words[:MAX_WORDS])


def _hash(text: str) -> int:
    """Return a number that depends on the text alone, on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def normalise(text: str) -> str:
    """Return the text's words in lower case, one space apart."""
    return " ".join(_WORD.findall(text.lower()))


def shingles(normalised: str) -> frozenset[str]:
    """Return the pairs of neighbouring words, and for a lone word that word."""
    words = normalised.split()
    return frozenset(map(" ".join, pairwise(words))) or frozenset(words)


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Return ``|a & b| / |a | b|``."""
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared) if a or b else 1.0


def group_near_duplicates(texts: Sequence[str]) -> list[int]:
    """Give each text the number of its group.

    Two texts are in one group if their similarity reaches :data:`THRESHOLD`, or if a chain of
    such texts joins them. The search is exact: sets with a Jaccard similarity of at least t
    share an element among the ``|a| - ceil(t |a|) + 1`` rarest of each (Chaudhuri et al. 2006,
    *A Primitive Operator for Similarity Joins*), so only those are indexed.

    Args:
        texts: normalised texts.

    Returns:
        For each text the index of the first text of its group.
    """
    sets = [shingles(text) for text in texts]
    count = Counter(shingle for found in sets for shingle in found)
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    index: dict[str, list[int]] = defaultdict(list)
    for i, found in enumerate(sets):
        rarest = sorted(found, key=lambda shingle: (count[shingle], shingle))
        prefix = rarest[: len(found) - ceil(THRESHOLD * len(found)) + 1]
        for j in {j for shingle in prefix for j in index[shingle]}:
            a, b = root(i), root(j)
            if a != b and jaccard(found, sets[j]) >= THRESHOLD:
                parent[max(a, b)] = min(a, b)
        for shingle in prefix:
            index[shingle].append(i)
    return [root(i) for i in range(len(texts))]
