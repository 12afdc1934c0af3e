"""A number of bytes as the target of an export: what is kept exact, and what is made smaller.

Taken is the first of these that fits:

1. the model in fp32, with int8 rows, then all in int8;
2. in int8 what scores best of fewer pieces, factorised word vectors, and some of both.

Bytes are reckoned from one trial file, since all of these change nothing but the tables.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cofi_cli.architectures import load_config_dict, load_tokenizer, resolve
from cofi_cli.config import ExportConfig
from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting.acceptance import score_of
from cofi_cli.exporting.graphs.choice import CHOSEN
from cofi_cli.exporting.order import Order
from cofi_cli.exporting.table_size import BESIDE, Table, measured
from cofi_cli.exporting.vocabulary import known_texts, with_vocabulary
from cofi_cli.runs.records import ExportRecord
from cofi_cli.runtime.scoring import as_numbered
from cofi_cli.vocabulary.checkpoint import needed_ids
from cofi_cli.vocabulary.factors import FEWEST_COLUMNS, with_words_of
from cofi_cli.vocabulary.pieces import Pieces, uses_of

log = logging.getLogger(__name__)

_AIMS = 3


def fitted(order: Order, budget: int) -> ExportConfig:
    """Return what to ask for in order to stay within a number of bytes.

    Args:
        order: the export; what it says of precision, pieces and rank is kept.
        budget: bytes of the folder.

    Raises:
        CofiError: nothing fits; names the smallest that can be had.
    """
    place = order.source.models[CHOSEN]
    asked = order.config.model_copy(update={"one_file": True})
    for precision, embeddings in _levels(asked):
        own = asked.model_copy(update={"precision": precision, "embeddings": embeddings})
        table = measured(place, own)
        pieces = int(asked.vocab or table.pieces)
        if table.bytes(pieces, asked.embedding_rank) <= budget:
            return own
    texts = known_texts(asked.text, order.task)
    candidates = list(_candidates(place, own, table, budget, has_texts=bool(texts)))
    if not candidates:
        least = min(table.bytes(table.pieces, FEWEST_COLUMNS), table.bytes(_fewest(place)))
        raise CofiError(
            f"size is {asked.size}, and the smallest folder of this model has about "
            f"{least / 1e6:.1f} MB.",
            hint="Prune the model further, leave --vocab and --embedding-rank to the command, or "
            "add texts that pieces are chosen by: --text FILE",
        )
    return _best(order, texts, candidates)


def _levels(asked: ExportConfig) -> list[tuple[str, str]]:
    """Return precisions of the encoder and of the tables to try, the most exact first."""
    levels = [("fp32", "fp32"), ("fp32", "int8"), ("int8", "int8")]
    if asked.precision in ("fp16", "int8"):
        levels = [(asked.precision, "fp32"), (asked.precision, "int8")]
    return [own for own in levels if asked.embeddings in ("auto", own[1])]


def _fewest(place: str) -> float:
    """Return the fewest pieces that a tokenizer can be trimmed to; infinity where it cannot be."""
    try:
        return Pieces(load_tokenizer(place), needed_ids(place)).smallest
    except CofiError:
        return math.inf


def _candidates(
    place: str, own: ExportConfig, table: Table, budget: int, *, has_texts: bool
) -> Iterator[ExportConfig]:
    """Yield what fits: fewer pieces, a lower rank, and half of the way to either."""

    def narrow(pieces: int) -> int | None:
        rank = table.most_columns(budget, pieces)
        return rank if FEWEST_COLUMNS <= rank < table.columns else None

    def made(pieces: int | None, rank: int | None) -> ExportConfig:
        return own.model_copy(update={"vocab": pieces, "embedding_rank": rank})

    given, rank = own.vocab, own.embedding_rank
    if given is not None:  # pieces are given, the rank is open
        if rank is None and (found := narrow(int(given))) is not None:
            yield made(int(given), found)
        return
    if rank is not None:
        spare = budget - rank * table.width * table.matrix
        fewer = replace(table, columns=rank).most_pieces(spare)
    else:
        fewer = table.most_pieces(budget)
    fits = has_texts and _fewest(place) <= fewer
    if fits:
        yield made(min(fewer, table.pieces), rank)
    if rank is not None:
        return
    if (found := narrow(table.pieces)) is not None:
        yield made(None, found)
    between = round(math.sqrt(max(fewer, 1) * table.pieces))
    if fits and (found := narrow(between)) is not None:
        yield made(between, found)


def _best(order: Order, texts: Sequence[str], candidates: list[ExportConfig]) -> ExportConfig:
    """Return the candidate that scores best; the first where nothing can be scored."""
    place, task = order.source.models[CHOSEN], order.task
    if len(candidates) == 1 or task is None or order.unscored is not None:
        return candidates[0]
    task, scores = as_numbered(task, load_config_dict(resolve(place)), "the model"), []
    for own in candidates:
        given = with_vocabulary({CHOSEN: place}, vocab=own.vocab, texts=texts, task=task)
        with given as models:
            mine = models.places[CHOSEN]
            uses = uses_of(load_tokenizer(mine), texts)
            change = partial(with_words_of, rank=own.embedding_rank, uses=uses)
            score = score_of(mine, task=task, wish=order.wish, change=change)
        scores.append(-math.inf if score is None else score.score)
        log.info("%s scores %.2f.", words(own), scores[-1])
    return candidates[scores.index(max(scores))]


class TooLarge(CofiError):
    """A folder has more bytes than were asked for, by ``excess``."""

    def __init__(self, found: int, budget: int) -> None:
        super().__init__(
            f"The folder has {found / 1e6:.2f} MB, and {budget / 1e6:.2f} MB are allowed.",
            hint="Ask for a slightly smaller --size.",
            exit_code=PARITY,
        )
        self.excess = found - budget


def check_size(folder: Path, budget: int) -> None:
    """Refuse a folder of too many bytes.

    Raises:
        TooLarge: it has more (exit code 4).
    """
    found = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if found > budget:
        raise TooLarge(found, budget)


def within(
    budget: int,
    export: Callable[[ExportConfig], ExportRecord],
    fit: Callable[[int], ExportConfig],
) -> ExportRecord:
    """Export what fits; where it turns out larger than was reckoned, aim that much lower.

    Args:
        budget: bytes of the folder.
        export: makes the folder, and refuses one that is too large.
        fit: returns what to ask for to stay within a number of bytes.

    Raises:
        CofiError: nothing fits, or what fits scores too low.
    """
    aim = budget
    for _ in range(_AIMS - 1):
        try:
            return export(fit(aim))
        except TooLarge as error:
            aim -= error.excess + BESIDE // 8
            log.info("%s", error.message)
    return export(fit(aim))


def words(asked: ExportConfig) -> str:
    """Return what is asked for in words: ``int8, 8000 pieces, rank 64``."""
    parts: list[str] = [asked.precision]
    parts += ["int8 rows"] if asked.embeddings == "int8" else []
    parts += [f"{asked.vocab} pieces"] if asked.vocab is not None else []
    parts += [f"rank {asked.embedding_rank}"] if asked.embedding_rank is not None else []
    return ", ".join(parts)
