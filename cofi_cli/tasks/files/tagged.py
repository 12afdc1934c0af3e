"""Tagged sentences: their tags checked, and kept as IOB2."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain

from cofi_cli.errors import CofiError, did_you_mean
from cofi_cli.tasks.files.conll import Sentences
from cofi_cli.tasks.metrics.tags import PREFIXES, iob2_tags, is_tag, kind_of, to_iob2
from cofi_cli.tasks.rows import Split

logger = logging.getLogger(__name__)


def tagged(
    file: Sentences, types: tuple[str, ...] | None, origin: str
) -> tuple[Split, tuple[str, ...]]:
    """Return sentences with the indices of their tags among :func:`iob2_tags` of the types.

    Tags of any scheme are read as entities and kept as IOB2.

    Args:
        file: the sentences.
        types: of entities; ``None`` takes those of the file, sorted.
        origin: where the types come from, for messages.

    Returns:
        The rows, and the types.

    Raises:
        CofiError: a tag that is none, or of a type that ``origin`` lacks (which line), or no
            entity at all to learn the types from.
    """
    if file.tags is None:
        return Split([*file.words], None), types or ()
    for line, tag in _tags(file):
        if not is_tag(tag):
            forms = ", ".join(f"{prefix}-TYPE" for prefix in PREFIXES)
            raise CofiError(
                f"{file.path}, {file.unit} {line}: '{tag}' is not a tag: O, {forms}.",
                hint="The tag is taken from the last column; --label N names another. "
                "Column files have no header.",
            )
    types = types or tuple(sorted({kind_of(tag) for _, tag in _tags(file)} - {""}))
    if not types:
        raise CofiError(
            f"{file.path} has no entity: every tag is O.",
            hint="Is the tag in another column? Name it: --label 2",
        )
    for line, tag in _tags(file):
        if (kind := kind_of(tag)) not in ("", *types):
            raise CofiError(
                f"{file.path}, {file.unit} {line}: {origin} has no entity of type '{kind}' "
                f"(tag '{tag}').{did_you_mean(kind, types)} Types there: {', '.join(types)}.",
                hint="Correct the tag, or add sentences with it to the training file.",
            )
    index = {label: i for i, label in enumerate(iob2_tags(types))}
    written = [to_iob2(tags) for tags in file.tags]
    changed = sum(new != old for new, old in zip(written, file.tags, strict=True))
    if changed:
        logger.info("%s: the tags of %d sentences are rewritten as IOB2.", file.path, changed)
    return Split([*file.words], [[index[tag] for tag in tags] for tags in written]), types


def _tags(file: Sentences) -> Iterator[tuple[int, str]]:
    """Yield the line of each tag, and the tag."""
    return zip(chain.from_iterable(file.lines), chain.from_iterable(file.tags or ()))
