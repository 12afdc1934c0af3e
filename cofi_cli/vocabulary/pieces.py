"""A tokenizer taken apart into pieces, and put together again from fewer of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from cofi_cli.errors import CofiError
from cofi_cli.vocabulary.models import KINDS, Json, SubwordModel


@dataclass(frozen=True)
class Trimmed:
    """A tokenizer of fewer pieces.

    Attributes:
        layout: its tokenizer.json.
        rows: id -> the old id whose vector the piece has.
        kept: old id -> id, of the pieces that were there before.
    """

    layout: Json
    rows: list[int]
    kept: dict[int, int]

    def tokenizer(self) -> Tokenizer:
        """Return it as the tokenizers library opens it."""
        return Tokenizer.from_str(json.dumps(self.layout))


class Pieces:
    """What a fast tokenizer of transformers is made of.

    Args:
        tokenizer: of WordPiece, BPE or Unigram.
        needed: further ids that stay, such as those that a configuration names.

    Attributes:
        pieces: piece -> id, of the subword model.
        size: number of pieces, added tokens among them.
        smallest: the fewest pieces that split any text.

    Raises:
        CofiError: its kind cannot be trimmed.
    """

    def __init__(self, tokenizer: Any, needed: Iterable[int] = ()) -> None:
        backend = tokenizer.backend_tokenizer
        self.layout: Json = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
        kind = self.layout["model"].get("type")
        if kind not in KINDS:
            raise CofiError(
                f"The tokenizer is of kind '{kind}', whose vocabulary cannot be trimmed. "
                f"Trimmed are {', '.join(KINDS)}.",
                hint="Leave --vocab out.",
            )
        self.model: SubwordModel = KINDS[kind](self.layout["model"])
        self.pieces = self.model.pieces
        added: list[Json] = self.layout["added_tokens"]
        self.outside = {t["content"]: t["id"] for t in added if t["content"] not in self.pieces}
        special = {*tokenizer.all_special_tokens, *(t["content"] for t in added)}
        special |= {self.model.unknown} if self.model.unknown else set()
        names = {i: piece for piece, i in self.pieces.items()}
        special |= {names[i] for i in needed if i in names}
        self.special = special & self.pieces.keys()
        self.atoms = self.model.atoms(special)
        self._must = self._closed({*self.special, *self.atoms} & self.pieces.keys(), set())
        self.new = [piece for piece in self.atoms if piece not in self.pieces]
        self.size = len(self.pieces) + len(self.outside)
        self.smallest = len(self._must) + len(self.new) + len(self.outside)

    def check(self, size: int) -> None:
        """Refuse a size that is too small.

        Raises:
            CofiError: naming what has to stay.
        """
        if size < self.smallest:
            special = len(self.special) + len(self.outside)
            raise CofiError(
                f"vocab is {size}; the tokenizer needs at least {self.smallest} pieces: "
                f"{special} special ones, and single characters so that any text can be split.",
                hint=f"Use --vocab {self.smallest} or more, or --vocab auto.",
            )

    def trimmed(self, size: int, counts: Sequence[int] | np.ndarray) -> Trimmed:
        """Return the tokenizer of the most used pieces.

        Args:
            size: number of pieces, which passes :meth:`check`; those that any text needs stay,
                and unused ones fill up.
            counts: id -> how often texts use the piece.
        """
        chosen, room = set(self._must), size - len(self.new) - len(self.outside)
        # Of equally used pieces the first: all three kinds of trainers put frequent ones first.
        for piece in sorted(self.pieces, key=lambda p: (-counts[self.pieces[p]], self.pieces[p])):
            if len(chosen) >= room:
                break
            wanted = self._closed({piece}, chosen)
            if len(chosen) + len(wanted) <= room:
                chosen |= wanted
        return self._rebuilt(chosen)

    def _closed(self, wanted: set[str], known: set[str]) -> set[str]:
        """Return pieces and all that they are made of, but for those that are known."""
        found: set[str] = set()
        waiting = list(wanted)
        while waiting:
            piece = waiting.pop()
            if piece not in found and piece not in known:
                found.add(piece)
                waiting += self.model.parts(piece)
        return found

    def _rebuilt(self, chosen: set[str]) -> Trimmed:
        names = sorted(chosen, key=self.pieces.__getitem__)
        ids = {piece: i for i, piece in enumerate([*names, *self.new])}
        model = self.model.rebuilt(ids)
        old = self.outside | self.pieces
        outside = sorted(self.outside, key=old.__getitem__)
        ids |= {piece: len(ids) + i for i, piece in enumerate(outside)}
        rows = [old[self.atoms.get(piece, piece)] for piece in ids]
        kept = {old[piece]: i for piece, i in ids.items() if piece in old}
        added = [t | {"id": ids[t["content"]]} for t in self.layout["added_tokens"]]
        return Trimmed(
            {
                **self.layout,
                "added_tokens": sorted(added, key=lambda token: int(token["id"])),
                "post_processor": _renumbered(self.layout["post_processor"], ids),
                "model": model,
            },
            rows,
            kept,
        )


def _renumbered(part: Any, ids: dict[str, int]) -> Any:
    """Return what is put around a text with new ids: ``{"ids", "tokens"}``, or (token, id)."""
    if isinstance(part, dict):
        own = {key: _renumbered(value, ids) for key, value in part.items()}
        if "ids" in part and "tokens" in part:
            own["ids"] = [ids[token] for token in part["tokens"]]
        return own
    if isinstance(part, list):
        if len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], int):
            return [part[0], ids[part[0]]]
        return [_renumbered(value, ids) for value in part]
    return part


def uses_of(tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """Return how often texts use each id of a fast tokenizer of transformers, (V,) int64."""
    return count(whole(tokenizer), texts, max(tokenizer.get_vocab().values()) + 1)


def whole(tokenizer: Any) -> Tokenizer:
    """Return what a fast tokenizer of transformers splits texts with, whatever their length."""
    found = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    found.no_truncation()
    found.no_padding()
    return found


def count(tokenizer: Tokenizer, texts: Sequence[str], size: int) -> np.ndarray:
    """Return how often texts use each id, (size,) int64."""
    counts = np.zeros(size, dtype=np.int64)
    for split in tokenizer.encode_batch(texts, add_special_tokens=False):
        np.add.at(counts, split.ids, 1)
    return counts
