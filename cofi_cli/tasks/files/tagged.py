"""Tagged sentences: their tags checked, and kept as IOB2."""

from __future__ import annotations

import logging

from cofi_cli.errors import CofiError, did_you_mean
from cofi_cli.tasks.files.conll import Sentences
from cofi_cli.tasks.metrics.tags import PREFIXES, entities, iob2_tags, is_tag, kind_of, to_iob2
from cofi_cli.tasks.rows import Split

logger = logging.getLogger(__name__)


def types_of(file: Sentences) -> tuple[str, ...]:
    """Return the types of entities in a file, sorted.

    Raises:
        CofiError: a tag that is none (which line), or no entity at all.
    """
    _check_tags(file)
    found = tuple(sorted({kind_of(tag) for row in file.tags or () for tag in row} - {""}))
    if not found:
        raise CofiError(
            f"{file.path} has no entity: every tag is O.",
            hint="Is the tag in another column? Name it: --label 2",
        )
    return found


def tagged(file: Sentences, types: tuple[str, ...], origin: str) -> Split:
    """Return sentences with the indices of their tags among :func:`iob2_tags` of the types.

    Tags of any scheme are read as entities and kept as IOB2.

    Raises:
        CofiError: a tag that is none, or of a type that ``origin`` lacks; names its line.
    """
    _check_tags(file)
    _check_types(file, types, origin)
    if file.tags is None:
        return Split([*file.words], None)
    index = {label: i for i, label in enumerate(iob2_tags(types))}
    written = [to_iob2(tags) for tags in file.tags]
    changed = sum(new != old for new, old in zip(written, file.tags, strict=True))
    if changed:
        logger.info("%s: the tags of %d sentences are rewritten as IOB2.", file.path, changed)
    return Split([*file.words], [[index[tag] for tag in tags] for tags in written])


def _check_tags(file: Sentences) -> None:
    for sentence, tags in enumerate(file.tags or ()):
        for word, tag in enumerate(tags):
            if not is_tag(tag):
                forms = ", ".join(f"{prefix}-TYPE" for prefix in PREFIXES)
                raise CofiError(
                    f"{file.place(sentence, word)}: '{tag}' is not a tag: O, {forms}.",
                    hint="The tag is taken from the last column; --label N names another. "
                    "Column files have no header.",
                )


def _check_types(file: Sentences, types: tuple[str, ...], origin: str) -> None:
    for sentence, tags in enumerate(file.tags or ()):
        for kind, word, _ in entities(tags):
            if kind not in types:
                raise CofiError(
                    f"{file.place(sentence, word)}: {origin} has no entity of type '{kind}' "
                    f"(tag '{tags[word]}').{did_you_mean(kind, types)} "
                    f"Types there: {', '.join(types)}.",
                    hint="Correct the tag, or add sentences with it to the training file.",
                )
