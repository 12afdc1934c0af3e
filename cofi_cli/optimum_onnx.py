"""Pruned models in optimum's ONNX exporter, where optimum-onnx is installed.

Installing cofi lets ``optimum-cli export onnx`` import this module; a Python program imports it
by itself. The classes are those of the model's folder (``--trust-remote-code``): optimum tells
the library of a class by the name of its module, and knows ``transformers_modules`` alone.
"""

from __future__ import annotations

from optimum.exporters.onnx.config import TextEncoderOnnxConfig
from optimum.exporters.tasks import TasksManager
from optimum.utils import NormalizedTextConfig

from cofi_cli.modeling import CofiConfig

TASKS = ("feature-extraction", "text-classification", "token-classification", "question-answering")


@TasksManager.create_register("onnx", overwrite_existing=True)(CofiConfig.model_type, *TASKS)
class CofiOnnxConfig(TextEncoderOnnxConfig):  # type: ignore[misc]
    """What optimum has to know of the model: its inputs."""

    NORMALIZED_CONFIG_CLASS = NormalizedTextConfig

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        """Return the inputs' names and free axes; (batch, length) each."""
        names = ["input_ids", "attention_mask"]
        if self._config.has_token_types:
            names.append("token_type_ids")
        return {name: {0: "batch_size", 1: "sequence_length"} for name in names}
