"""Tiny learnable data of several kinds of task, and configurations that run through it."""

from __future__ import annotations

import json
import random
from pathlib import Path

from cofi_cli.config import RunConfig
from tests.tiny import BAD, FILLER, GOOD, quick_config

TOPICS = {"bad": BAD, "good": GOOD, "people": ("actor",)}
"""Label -> the words that bring it."""


def sentence(rng: random.Random, length: int = 6) -> str:
    """Return random words of the tiny vocabulary."""
    return " ".join(rng.choices(FILLER + GOOD + BAD, k=length))


def save_topics(folder: Path, *, rows: int = 96) -> Path:
    """Write train.jsonl and dev.jsonl whose labels are lists, some of them empty."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(2)
    for name, count in (("train", rows), ("dev", rows // 2)):
        texts = [sentence(rng, rng.randint(1, 5)) for _ in range(count)]
        lines = [
            json.dumps({"text": text, "labels": [n for n, w in TOPICS.items() if found(text, w)]})
            for text in texts
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def found(text: str, words: tuple[str, ...]) -> bool:
    """Whether any of the words stands in the text."""
    return not set(text.split()).isdisjoint(words)


def save_ranking(folder: Path, *, queries: int = 24) -> Path:
    """Write train.csv and dev.csv: four passages a query, a good one graded 2, a mixed one 1."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(3)
    for name, count in (("train", queries), ("dev", queries // 2)):
        lines = ["query,passage,relevance"]
        for number in range(count):
            query = f"{sentence(rng, 3)} {number}"
            passages = [
                (2, rng.choices(GOOD, k=4)),
                (1, rng.choices(GOOD, k=2) + rng.choices(BAD, k=2)),
                (0, rng.choices(BAD, k=4)),
                (0, rng.choices(BAD + FILLER, k=4)),
            ]
            rng.shuffle(passages)
            lines += [f"{query},{' '.join(words)},{grade}" for grade, words in passages]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def save_choices(folder: Path, *, rows: int = 96) -> Path:
    """Write train.csv and dev.csv: of three ends to a text, the one of good words is right."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(5)
    for name, count in (("train", rows), ("dev", rows // 2)):
        lines = ["context,choice0,choice1,choice2,label"]
        for _ in range(count):
            right = rng.randrange(3)
            ends = [rng.choices((BAD, GOOD)[i == right], k=rng.randint(2, 4)) for i in range(3)]
            lines.append(",".join([sentence(rng, 3), *map(" ".join, ends), str(right)]))
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def save_texts(path: Path, *, rows: int = 120) -> Path:
    """Write a .txt, one text a line, with blank lines between some."""
    rng = random.Random(4)
    lines = [sentence(rng, rng.randint(2, 7)) + ("\n" if i % 9 == 0 else "") for i in range(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def kind_config(model: Path | str, task: dict[str, object], **changes: object) -> RunConfig:
    """Return :func:`~tests.tiny.quick_config` for another task."""
    values = quick_config(Path("m"), Path("d")).model_dump(mode="json")
    values |= {"model": str(model), "task": {"max_length": 24} | task}
    for section, own in changes.items():
        values[section] = values[section] | own if isinstance(own, dict) else own
    return RunConfig.model_validate(values)
