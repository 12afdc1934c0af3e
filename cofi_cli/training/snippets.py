"""How a compact model's folder is opened and asked, by kind of task: the code in its card."""

from __future__ import annotations

from collections.abc import Mapping

from cofi_cli.tasks.kinds import KINDS, Kind

_OPEN = """\
import cofi_cli  # or trust_remote_code=True below
from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")
"""

_TOKENS = """\
import cofi_cli  # or trust_remote_code=True below
from transformers import pipeline

tag = pipeline("{pipeline}", model="PATH", aggregation_strategy="simple")
tag("Ada Lovelace was born in London")
"""

_MULTILABEL = """\
import cofi_cli  # or trust_remote_code=True below
from transformers import pipeline

classify = pipeline("{pipeline}", model="PATH", top_k=None)
scores = classify(["a gripping, beautifully shot film"])[0]  # a probability for each label
[row["label"] for row in scores if row["score"] >= 0.5]
"""

_RANKING = """\
import torch
import cofi_cli  # or trust_remote_code=True below
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

SNIPPETS: Mapping[Kind, str] = {
    "multilabel": _MULTILABEL,
    "ranking": _RANKING,
    "tokens": _TOKENS,
}
"""Kinds with a snippet of their own; all others open model and tokenizer. PATH is the folder."""


def snippet(kind: Kind) -> str:
    """Return Python code for a folder PATH; its fields are those of the kind's ``KindSpec``."""
    spec = KINDS[kind]
    return SNIPPETS.get(kind, _OPEN).format(auto=spec.auto, pipeline=spec.pipeline)
