"""How a compact model's folder is opened and asked, by kind of task: the code in its card."""

from __future__ import annotations

from collections.abc import Mapping

from cofi_cli.tasks.kinds.specs import KINDS, Kind

_OPEN = """\
import cofi_cli.auto  # or trust_remote_code=True below
from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")
"""

_TOKENS = """\
import cofi_cli.auto  # or trust_remote_code=True below
from transformers import pipeline

tag = pipeline("{pipeline}", model="PATH", aggregation_strategy="simple")
tag("Ada Lovelace was born in London")
"""

# transformers 5 has no pipeline for it, so the span is decoded in the open.
_SPAN = """\
import torch
import cofi_cli.auto  # or trust_remote_code=True below
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

model = AutoModelForQuestionAnswering.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")
question, context = "Where does the river rise?", "The river rises in the hills."
inputs = tokenizer(question, context, truncation="only_second", return_tensors="pt")
with torch.no_grad():
    out = model(**inputs)

# The best span of the context, of at most 30 tokens.
inside = torch.tensor([part == 1 for part in inputs.sequence_ids(0)])
allowed = torch.outer(inside, inside).triu().tril(29)
scores = out.start_logits[0][:, None] + out.end_logits[0]
first, last = divmod(int(scores.masked_fill(~allowed, -1e9).argmax()), len(inside))
answer = context[inputs.token_to_chars(0, first).start : inputs.token_to_chars(0, last).end]
"""

_MULTILABEL = """\
import cofi_cli.auto  # or trust_remote_code=True below
from transformers import pipeline

classify = pipeline("{pipeline}", model="PATH", top_k=None)
scores = classify(["a gripping, beautifully shot film"])[0]  # a probability for each label
[row["label"] for row in scores if row["score"] >= 0.5]
"""

_RANKING = """\
import torch
import cofi_cli.auto  # or trust_remote_code=True below
from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")
query, passages = "where does the river rise", ["It rises in the hills.", "A film about a river."]
pairs = tokenizer([query] * len(passages), passages, padding=True, truncation=True,
                  return_tensors="pt")
with torch.no_grad():
    scores = model(**pairs).logits[:, 0]
[passages[i] for i in scores.argsort(descending=True)]
"""

_EMBEDDING = """\
import cofi_cli.auto  # or trust_remote_code=True below
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("PATH")
vectors = model.encode(["The river rises in the hills.", "Its source is up in the hills."])
similarity = model.similarity(vectors[0], vectors[1])
"""

SNIPPETS: Mapping[Kind, str] = {
    "multilabel": _MULTILABEL,
    "ranking": _RANKING,
    "tokens": _TOKENS,
    "span": _SPAN,
    "embedding": _EMBEDDING,
}
"""Kinds with a snippet of their own; all others open model and tokenizer. PATH is the folder."""


def snippet(kind: Kind) -> str:
    """Return Python code for a folder PATH; its fields are those of the kind's ``KindSpec``."""
    spec = KINDS[kind]
    return SNIPPETS.get(kind, _OPEN).format(auto=spec.auto, pipeline=spec.pipeline)
