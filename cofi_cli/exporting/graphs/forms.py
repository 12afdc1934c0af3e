"""Graph forms: one function, written in other operators, since runtimes differ in what is fast."""

from __future__ import annotations

from dataclasses import dataclass

from cofi_cli.exporting.graphs.lean import reads_first_token
from cofi_cli.modeling import CofiForTask
from cofi_cli.runs.records import BY_LENGTH


@dataclass(frozen=True)
class Form:
    """One form of graph.

    Attributes:
        name: as ``--graph`` takes it.
        summary: what distinguishes it.
        is_portable: whether it holds standard ONNX operators only.
    """

    name: str
    summary: str
    is_portable: bool


FORMS = {
    form.name: form
    for form in (
        Form("plain", "as traced: a product each for Q, K and V", True),
        Form("packed", "Q, K and V in one product", True),
        Form("lean", "no bias or scale to spare; of the end only what the head reads", True),
        Form("fused", "onnxruntime's Attention, with each layer's own number of heads", False),
        Form("lean-fused", "lean, with onnxruntime's Attention", False),
        Form(
            "fused-skip",
            "fused, and embeddings, residual, LayerNormalization, Gelu with their biases; of "
            "the end only what the head reads",
            False,
        ),
        Form(
            "fused-lengths",
            "fused-skip, with attention kernels that take padding on the right only; other "
            "padding makes the answer NaN",
            False,
        ),
    )
}

LEAN = ("lean", "lean-fused")
SKIP = ("fused-skip", BY_LENGTH)
"""Few nodes, each one kernel or two."""
ON_GPU = ("plain", "fused", *SKIP)
"""What is tried for a GPU beside --portable; the others were never ahead there (docs/log.md)."""


def portable_forms() -> str:
    """Name the forms of standard operators, as a choice: ``a, b or c``."""
    *names, last = (form.name for form in FORMS.values() if form.is_portable)
    return f"{', '.join(names)} or {last}"


def is_another(model: CofiForTask, form: str) -> bool:
    """Whether a form would come out as one before it: no attention is left to be fused."""
    attentions = sum(heads > 0 for heads in model.config.layer_heads)
    return form == "lean-fused" and attentions <= int(reads_first_token(model))


def unsupported(model: CofiForTask, form: str) -> str | None:
    """Return why a model cannot be written in a form, ``None`` if it can."""
    config = model.config
    turns = config.position == "rotary" or config.layer_windows
    has_bias = config.relative_buckets or config.disentangled
    if (turns or has_bias) and not FORMS[form].is_portable:
        return "onnxruntime's Attention knows neither rotation, windows nor a bias by distance"
    if form == BY_LENGTH:
        # States of padding tokens may be anything; the mean over a row must not see them.
        return None if reads_first_token(model) else "its head reads more than the first token"
    if form not in LEAN:
        return None
    has_biases = config.attention_bias and config.ffn_bias and config.norm_bias
    is_post_norm = config.embedding_norm and not config.pre_norm
    if turns or not is_post_norm or config.gated_ffn or not has_biases:
        return "it is written for encoders that normalise after each residual, as BERT does"
    return None
