"""A model that was trained elsewhere may number the task's labels in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cofi_cli.modeling import CofiForTask
from cofi_cli.tasks.teacher.taught import label_names, places


def put_in_order(model: CofiForTask, config: Mapping[str, Any], labels: Sequence[str]) -> bool:
    """Sort the rows of a head, in place, as the task numbers its labels.

    Nothing is done unless both have the same names, capitals aside, in another order.

    Args:
        model: its head has one output per label.
        config: of the checkpoint that it was loaded from.
        labels: the task's.

    Returns:
        Whether the order was another.
    """
    names = label_names(config)
    place = places(labels, names)
    if place is None or len(names) != len(labels) or place == list(range(len(names))):
        return False
    order = torch.tensor(place)
    with torch.no_grad():
        for tensor in (model.classifier.weight, model.classifier.bias):
            tensor.copy_(tensor[order.to(tensor.device)])
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: i for i, label in enumerate(labels)}
    return True
