"""A sentence-transformers folder: what comes after the encoder, read and written.

The library names a chain of modules in ``modules.json``: Transformer, Pooling, and behind them
at most one Dense and Normalize. Our encoder's pooler is Pooling and Dense in one.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from cofi_cli.architectures.hub import find_file, load_json, load_tokenizer, resolve
from cofi_cli.architectures.weights import WEIGHTS, load_weights
from cofi_cli.errors import CofiError, reading
from cofi_cli.modeling import CofiForTask

logger = logging.getLogger(__name__)

MODULES = "modules.json"
_SETTINGS = "config_sentence_transformers.json"
_ENCODERS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_LENGTHS = tuple(f"sentence_{family}_config.json" for family in _ENCODERS)
"""Where the longest input stands; the first is what the library writes today."""
_SUPPORTED = (
    *(["Transformer", "Pooling", *rest] for rest in ([], ["Dense"], ["Normalize"])),
    ["Transformer", "Pooling", "Dense", "Normalize"],
)
_POOLINGS = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
ACTIVATIONS = {
    "torch.nn.modules.linear.Identity": "linear",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.GELU": "gelu",
}
"""Activation of a Dense module -> transformers' name of it."""


@dataclass(frozen=True)
class Embedder:
    """What an embedder does with the encoder's last state.

    Attributes:
        pooling: ``cls`` or ``mean``.
        normalize: whether embeddings have unit length.
        max_length: longest input in tokens, ``None`` where only the tokenizer says.
        lower_case: whether the library lowers the case of texts before the tokenizer.
        weight, bias: of the Dense module, (e, d) and (e,); ``None`` without one.
        act: its activation, as transformers names it.
    """

    pooling: str
    normalize: bool
    max_length: int | None = None
    lower_case: bool = False
    weight: Tensor | None = None
    bias: Tensor | None = None
    act: str = "linear"

    @property
    def config(self) -> dict[str, Any]:
        """What our configuration needs for it."""
        width = {} if self.weight is None else {"pooler_size": self.weight.shape[0]}
        own = {"pooling": self.pooling, "pooler_act": self.act, "normalize": self.normalize}
        return own | width

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The pooler's tensors by our names; none where it is the identity."""
        if self.weight is None or self.bias is None:
            return {}
        return {"model.pooler.weight": self.weight, "model.pooler.bias": self.bias}


def is_embedder(name: str) -> bool:
    """Whether a folder or hub id says how its encoder's states become a sentence's embedding."""
    modules = load_json(resolve(name), MODULES)
    return isinstance(modules, list) and "Pooling" in _kinds(modules)


def read_embedder(name: str) -> Embedder | None:
    """Read what comes after the encoder; ``None`` for a model without ``modules.json``.

    Raises:
        CofiError: a module, or a setting of one, that is not supported.
    """
    source = resolve(name)
    modules = load_json(source, MODULES)
    if modules is None:
        return None
    with reading(f"{MODULES} of '{name}', or a file that it names,"):
        return _read_modules(name, source, modules)


def _read_modules(name: str, source: str, modules: list[dict[str, Any]]) -> Embedder:
    kinds = _kinds(modules)
    if kinds not in _SUPPORTED:
        raise CofiError(
            f"'{name}' is made of {', '.join(kinds) or 'nothing'} ({MODULES}); supported is "
            "Transformer, Pooling, then at most one Dense and Normalize, in this order.",
        )
    paths = {kind: str(module.get("path", "")) for kind, module in zip(kinds, modules)}
    for kind, path in paths.items():
        place = PureWindowsPath(path)  # reads / as well as a backslash and a drive
        if place.anchor or ".." in place.parts:
            raise CofiError(
                f"'{name}' has its {kind} module at {path} ({MODULES}), which is outside of its "
                "folder.",
                hint="Do not use it unless you know where it comes from; an embedder keeps its "
                "modules in folders inside its own, such as 1_Pooling.",
            )
    if paths["Transformer"]:
        raise CofiError(
            f"'{name}' keeps its encoder in a folder of its own, {paths['Transformer']}.",
            hint="Write it again as sentence-transformers does today: "
            f"SentenceTransformer('{name}').save_pretrained('DIR')",
        )
    dense = _read_dense(name, source, paths["Dense"]) if "Dense" in paths else {}
    found = (load_json(source, file) for file in _LENGTHS)
    lengths: dict[str, Any] = next(filter(None, found), {})
    longest = lengths.get("max_seq_length")
    if longest is not None and (type(longest) is not int or longest < 1):
        raise ValueError(f"max_seq_length is {longest!r}")
    return Embedder(
        pooling=_read_pooling(name, load_json(source, f"{paths['Pooling']}/config.json") or {}),
        normalize="Normalize" in kinds,
        max_length=longest,
        lower_case=bool(lengths.get("do_lower_case")),
        **dense,
    )


def _kinds(modules: list[dict[str, Any]]) -> list[str]:
    """Return what modules are, by the library's classes; another class keeps its whole name."""
    names = [str(module["type"]) for module in modules]
    return [n.rsplit(".", 1)[-1] if n.startswith("sentence_transformers.") else n for n in names]


def _read_pooling(name: str, config: dict[str, Any]) -> str:
    mode = config.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else list(mode or ())
    if not modes:
        on = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
        modes = [_POOLINGS.get(key, key.removeprefix("pooling_mode_")) for key in on] or ["mean"]
    if len(modes) != 1 or modes[0] not in _POOLINGS.values():
        raise CofiError(f"'{name}' pools by {' and '.join(modes)}; supported is cls or mean.")
    if not config.get("include_prompt", True):
        raise CofiError(f"'{name}' leaves prompts out of its pooling, which is not supported.")
    return str(modes[0])


def _read_dense(name: str, source: str, path: str) -> dict[str, Any]:
    config = load_json(source, f"{path}/config.json") or {}
    act = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    if act not in ACTIVATIONS:
        raise CofiError(
            f"'{name}' has a Dense module with activation {act}. "
            f"Supported: {', '.join(ACTIVATIONS)}.",
        )
    states = {config.get(f"module_{side}_name") for side in ("input", "output")}
    if config.get("use_residual") or not states <= {None, "sentence_embedding"}:
        raise CofiError(
            f"'{name}' has a Dense module with a residual, or one that reads something else "
            "than the sentence embedding; neither is supported.",
        )
    found = load_weights(source, folder=path)
    weight = found["linear.weight"].float()
    bias = found.get("linear.bias", torch.zeros(weight.shape[0])).float()
    return {"weight": weight, "bias": bias, "act": ACTIVATIONS[act]}


def embedder_tokenizer(name: str) -> Any:
    """Return an embedder's tokenizer, which takes no more tokens than the embedder.

    Says so where the library would put a default prompt before each text: here texts are
    taken as they are given.

    Raises:
        CofiError: the library would lower the case of texts, which this tokenizer does not.
    """
    tokenizer, found = load_tokenizer(name), read_embedder(name)
    if found is None:
        return tokenizer
    if found.max_length:
        tokenizer.model_max_length = min(tokenizer.model_max_length, found.max_length)
    if found.lower_case and tokenizer.tokenize("CASE") != tokenizer.tokenize("case"):
        raise CofiError(
            f"'{name}' lowers the case of texts (do_lower_case) before a tokenizer that keeps "
            "it; that is not supported.",
            hint="Set do_lower_case to false in its sentence_bert_config.json.",
        )
    settings = load_json(resolve(name), _SETTINGS) or {}
    if prompt := (settings.get("prompts") or {}).get(settings.get("default_prompt_name")):
        logger.warning(
            "'%s' puts %r before each text by default. Texts are taken as given here: "
            "write the prompt in them.",
            name,
            prompt,
        )
    return tokenizer


def copy_modules(name: str, folder: Path) -> None:
    """Copy what makes a dense embedder one: all modules but the encoder, and their settings."""
    source = resolve(name)
    modules = load_json(source, MODULES) or []
    paths = [str(module["path"]) for module in modules if module.get("path")]
    files = [MODULES, _SETTINGS, *_LENGTHS, *(f"{path}/config.json" for path in paths)]
    for path in paths:  # of weights only what was read: the first name that is there
        own = (f"{path}/{file}" for file in WEIGHTS)
        files += [file for file in own if find_file(source, file) is not None][:1]
    for file in files:
        found = find_file(source, file)
        if found is not None:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, folder / file)
    for path in paths:
        (folder / path).mkdir(exist_ok=True)  # Normalize has no file


def write_modules(model: CofiForTask, folder: Path, *, source: str) -> None:
    """Make a compact embedder's folder one that sentence-transformers opens.

    Dense holds the pooler's weights once more: the library runs the encoder alone.

    Args:
        model: a compact embedder.
        folder: where it is saved.
        source: the embedder that it came from, for its settings.
    """
    config = model.config
    kinds = ["Pooling", "Dense", *(["Normalize"] if config.normalize else [])]
    paths = {kind: f"{place}_{kind}" for place, kind in enumerate(kinds, start=1)}
    modules = [
        {"idx": place, "name": str(place), "path": paths.get(kind, ""), "type": _TYPE + kind}
        for place, kind in enumerate(["Transformer", *kinds])
    ]
    _write(folder / MODULES, modules)
    for path in paths.values():
        (folder / path).mkdir(exist_ok=True)
    known = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    modes = {f"pooling_mode_{key}": key.split("_")[0] == config.pooling for key in known}
    modes["pooling_mode_mean_sqrt_len_tokens"] = False
    pooling = {"word_embedding_dimension": config.hidden_size, **modes}
    _write(folder / paths["Pooling"] / "config.json", pooling)
    dense = {
        "in_features": config.hidden_size,
        "out_features": config.pooler_size,
        "bias": True,
        "activation_function": next(k for k, v in ACTIVATIONS.items() if v == config.pooler_act),
    }
    _write(folder / paths["Dense"] / "config.json", dense)
    pooler: Any = model.model.pooler
    tensors = {
        f"linear.{key}": value.detach().cpu().clone() for key, value in pooler.state_dict().items()
    }
    save_file(tensors, folder / paths["Dense"] / "model.safetensors", metadata={"format": "pt"})
    found = read_embedder(source)
    length = found.max_length if found is not None else None
    lengths = {"max_seq_length": length or config.longest_input, "do_lower_case": False}
    _write(folder / _LENGTHS[0], lengths)
    settings = find_file(resolve(source), _SETTINGS)
    if settings is not None:
        shutil.copyfile(settings, folder / _SETTINGS)


_TYPE = "sentence_transformers.models."


def _write(file: Path, values: Any) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
