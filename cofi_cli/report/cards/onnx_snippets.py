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
feed = {i.name: [fields[i.name]] for i in session.get_inputs()}
logits = session.run(["logits"], feed)[0]
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
feed = {i.name: [fields[i.name]] for i in session.get_inputs()}
logits = session.run(["logits"], feed)[0][0]
first = [text.word_to_tokens(word)[0] for word in range(len(words))]  # a tag is read there
tags = [names[str(logits[position].argmax())] for position in first]
"""

_SPAN = """\
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
question, context = "Where does the river rise?", "The river rises in the hills."
text = tokenizer.encode(question, context)
fields = {"input_ids": text.ids, "attention_mask": text.attention_mask,
          "token_type_ids": text.type_ids}
feed = {i.name: [fields[i.name]] for i in session.get_inputs()}
start, end = session.run(["start_logits", "end_logits"], feed)

# The best span of the context, of at most 30 tokens.
inside = np.array([part == 1 for part in text.sequence_ids])
allowed = np.triu(np.outer(inside, inside)) & np.tri(len(inside), k=29, dtype=bool)
scores = np.where(allowed, start[0][:, None] + end[0], -np.inf)
first, last = divmod(int(scores.argmax()), len(inside))
answer = context[text.offsets[first][0] : text.offsets[last][1]]
"""

_EMBEDDING = """\
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_padding()
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
texts = ["The river rises in the hills.", "Its source is up in the hills."]
rows = tokenizer.encode_batch(texts)
fields = {"input_ids": [row.ids for row in rows],
          "attention_mask": [row.attention_mask for row in rows],
          "token_type_ids": [row.type_ids for row in rows]}
feed = {field.name: fields[field.name] for field in session.get_inputs()}
vectors = session.run(["sentence_embedding"], feed)[0]
one, other = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
similarity = one @ other
"""

USAGE: Mapping[str, Usage] = {
    "sequence": Usage("the output is `logits`, (batch, labels)", _SEQUENCE),
    "token": Usage("the output is `logits`, (batch, length, labels)", _TOKEN),
    "span": Usage("the outputs are `start_logits` and `end_logits`, (batch, length) each", _SPAN),
    "embedding": Usage(
        "the outputs are `sentence_embedding`, (batch, width), pooled and finished as the model "
        "does it, and `last_hidden_state`, (batch, length, hidden)",
        _EMBEDDING,
    ),
}
"""Kind of head -> usage."""


def usage(head: str) -> Usage:
    """Return how a graph with this kind of head is used."""
    return USAGE.get(head, USAGE["sequence"])
