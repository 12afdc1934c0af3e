"""The three kinds of subword models: which pieces any text needs, and the model of fewer pieces.

Each splits a text that uses kept pieces only as it did before:

- WordPiece takes the longest piece that matches (Wu et al. 2016). If the longest of all is kept,
  it is the longest of those that are kept.
- BPE applies the merge of lowest rank (Sennrich et al. 2016). Whatever it merges on the way to a
  kept piece is kept, so at each step the lowest merge is the same.
- Unigram takes the likeliest split (Kudo 2018). If it is among those left, it is the likeliest.

Where a piece is gone its characters are not: a character in any piece is a piece of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

Json = dict[str, Any]
Ids = Mapping[str, int]


class SubwordModel:
    """The ``model`` of a tokenizer.json.

    Attributes:
        pieces: piece -> id.
        unknown: the piece for what cannot be split, if there is one.
    """

    def __init__(self, model: Json) -> None:
        self.model = model
        self.pieces: dict[str, int] = dict(model["vocab"])
        self.unknown: str | None = model.get("unk_token")

    def atoms(self, special: Set[str]) -> dict[str, str]:
        """Return pieces that any text may need -> the piece whose vector each has.

        That is the piece itself, or for one that is missing another with its character.

        Args:
            special: pieces that no text is split into.
        """
        raise NotImplementedError

    def parts(self, piece: str) -> Sequence[str]:
        """Return what has to be kept for a piece to come about, beside itself."""
        return ()

    def rebuilt(self, ids: Ids) -> Json:
        """Return the model with these pieces only, under these ids: 0, 1 and so on."""
        return self.model | {"vocab": dict(ids)}


class WordPiece(SubwordModel):
    """Longest match first; inside a word pieces begin with a prefix."""

    def atoms(self, special: Set[str]) -> dict[str, str]:
        """Return single characters, at the start of a word and inside, as pieces use them."""
        prefix: str = self.model["continuing_subword_prefix"]
        found: dict[str, str] = {}
        for piece in self.pieces:
            if piece in special:
                continue
            inside = piece.startswith(prefix)
            body = piece[len(prefix) :] if inside else piece
            for place, character in enumerate(body):
                forms = (character, prefix + character)
                own = forms[inside or place > 0]
                other = next((form for form in forms if form in self.pieces), piece)
                found.setdefault(own, own if own in self.pieces else other)
        return found


class Bpe(SubwordModel):
    """Merges by rank, of bytes or of characters."""

    def __init__(self, model: Json) -> None:
        super().__init__(model)
        prefix = model.get("continuing_subword_prefix") or ""
        pairs = (tuple(m.split(" ") if isinstance(m, str) else m) for m in model["merges"])
        self.merges = [(a, b, a + b[len(prefix) :]) for a, b in pairs]
        self._parts: dict[str, list[str]] = {}
        for a, b, both in self.merges:
            self._parts.setdefault(both, []).extend((a, b))

    def atoms(self, special: Set[str]) -> dict[str, str]:
        """Return what no merge makes: bytes, characters, with prefix or suffix or without."""
        made = self._parts.keys() | special
        return {piece: piece for piece in self.pieces if piece not in made}

    def parts(self, piece: str) -> Sequence[str]:
        """Return both sides of every merge that makes the piece."""
        return self._parts.get(piece, ())

    def rebuilt(self, ids: Ids) -> Json:
        """Return the model of these pieces, its merges in their order."""
        merges = [[a, b] for a, b, both in self.merges if a in ids and b in ids and both in ids]
        return super().rebuilt(ids) | {"merges": merges}


class Unigram(SubwordModel):
    """The likeliest split by a score for each piece."""

    def __init__(self, model: Json) -> None:
        super().__init__(model)
        self.scores: dict[str, float] = dict(model["vocab"])
        self.pieces = {piece: i for i, (piece, _) in enumerate(model["vocab"])}
        place = model["unk_id"]
        self.unknown = None if place is None else model["vocab"][place][0]

    def atoms(self, special: Set[str]) -> dict[str, str]:
        """Return the characters that pieces use, and single bytes where they stand in for others.

        A character without a piece of its own gets one, less likely than any other.
        """
        single = (f"<0x{byte:02X}>" for byte in range(256) if self.model.get("byte_fallback"))
        found = {piece: piece for piece in single if piece in self.pieces}
        for piece in self.pieces:
            if piece in special:
                continue
            for character in piece:
                found.setdefault(character, character if character in self.pieces else piece)
        return found

    def rebuilt(self, ids: Ids) -> Json:
        """Return the model of these pieces with their scores."""
        lowest = min(self.scores.values())
        vocab = [[piece, self.scores.get(piece, lowest)] for piece in ids]
        unknown = None if self.unknown is None else ids[self.unknown]
        return self.model | {"vocab": vocab, "unk_id": unknown}


KINDS: Mapping[str, type[SubwordModel]] = {
    "WordPiece": WordPiece,
    "BPE": Bpe,
    "Unigram": Unigram,
}
