"""Question and sentence pairs out of SQuAD, in QNLI's form (GLUE, Wang et al. 2018, section 3.3).

A question is paired with the sentence that holds its answer, `entailment`, and with the one of
the same paragraph that shares most words with it, `not_entailment`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

HEADER = "question\tsentence\tlabel"
END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(\[])")
"""Where a sentence ends; abbreviations before a capital are split wrongly, which is rare."""


def sentences(paragraph: str) -> list[tuple[int, str]]:
    """Return the sentences of a paragraph, each with its place in it."""
    starts = [0, *(found.end() for found in END.finditer(paragraph))]
    ends = [*starts[1:], len(paragraph)]
    return [(a, paragraph[a:b].strip()) for a, b in zip(starts, ends, strict=True)]


def words(text: str) -> set[str]:
    """Return the words of a text in lower case."""
    return set(re.findall(r"\w+", text.lower()))


def pairs(paragraph: str, question: str, start: int) -> Iterator[tuple[str, str]]:
    """Yield up to two sentences with their labels.

    Args:
        paragraph: The context.
        question: The question.
        start: The answer's first character in the paragraph.
    """
    parts = sentences(paragraph)
    holder = max(place for place, _ in parts if place <= start)
    asked = words(question)
    others = [text for place, text in parts if place != holder]
    yield next(text for place, text in parts if place == holder), "entailment"
    if others:
        yield max(others, key=lambda text: len(words(text) & asked)), "not_entailment"


def write(squad: Path, file: Path) -> None:
    """Write the pairs of a SQuAD file as a TSV."""
    lines = [HEADER]
    for article in json.loads(squad.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                question = " ".join(asked["question"].split())
                start = asked["answers"][0]["answer_start"]
                lines += [
                    "\t".join((question, " ".join(sentence.split()), label))
                    for sentence, label in pairs(paragraph["context"], question, start)
                ]
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")


def folder_of(task: str, data: Path, output: Path) -> Path:
    """Return the folder of a task's splits; what lacks its training set is given one."""
    if (data / task / "train.tsv").exists():
        return data / task
    folder = output / f"{task}-data"
    folder.mkdir(parents=True, exist_ok=True)
    (squad,) = (data / "squad_v1.1").glob("train*.json")
    write(squad, folder / "train.tsv")
    shutil.copyfile(data / task / "dev.tsv", folder / "dev.tsv")
    return folder
