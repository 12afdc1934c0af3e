"""Further text without labels: the sentences of SQuAD's articles at hand, one a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = "squad_v1.1"
"""Below the data folder: 44 training articles and the 48 of the dev set."""
WORDS = range(4, 51)
"""Words of a sentence that is kept."""
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"])")


def text_file(data: Path, output: Path) -> Path:
    """Return the file of sentences, written unless it is there."""
    file = output / "encyclopedia.txt"
    if not file.exists():
        articles = [
            article
            for source in sorted((data / FOLDER).glob("*.json"), reverse=True)
            for article in json.loads(source.read_text(encoding="utf-8"))["data"]
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{text}\n" for text in dict.fromkeys(_sentences(articles)))
        file.write_text(lines, encoding="utf-8")
    return file


def _sentences(articles: list[dict[str, list[dict[str, str]]]]) -> Iterator[str]:
    for article in articles:
        for paragraph in article["paragraphs"]:
            for sentence in _END.split(" ".join(paragraph["context"].split())):
                if len(sentence.split()) in WORDS:
                    yield sentence
