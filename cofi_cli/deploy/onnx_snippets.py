"""How an exported file is asked with bare onnxruntime, by kind of head: the code in its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """What a card says of a graph.

    Attributes:
        outputs: names and shapes, as the end of a sentence on outputs.
        code: Python that runs inside the export folder.
    """

    outputs: str
    code: str


_SEQUENCE = """\
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
text = tokenizer.encode("a gripping, beautifully shot film")
fields = {"input_ids": text.ids, "attention_mask": text.attention_mask,
          "token_type_ids": text.type_ids}
logits = session.run(["logits"], {name: [row] for name, row in fields.items()})[0]
"""

_TOKEN = """\
import json

import onnxruntime
from tokenizers import Tokenizer

names = json.load(open("config.json"))["id2label"]
tokenizer = Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
words = ["Ada", "Lovelace", "was", "born", "in", "London"]
text = tokenizer.encode(words, is_pretokenized=True)
fields = {"input_ids": text.ids, "attention_mask": text.attention_mask,
          "token_type_ids": text.type_ids}
logits = session.run(["logits"], {name: [row] for name, row in fields.items()})[0][0]
first = [text.word_to_tokens(word)[0] for word in range(len(words))]  # a tag is read there
tags = [names[str(logits[position].argmax())] for position in first]
"""

USAGE: Mapping[str, Usage] = {
    "sequence": Usage("the output is `logits`, (batch, labels)", _SEQUENCE),
    "token": Usage("the output is `logits`, (batch, length, labels)", _TOKEN),
}
"""Kind of head -> usage."""


def usage(head: str) -> Usage:
    """Return how a graph with this kind of head is used."""
    return USAGE.get(head, USAGE["sequence"])
