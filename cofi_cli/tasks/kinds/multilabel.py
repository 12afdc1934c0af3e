"""Any number of labels a row."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cofi_cli.tasks.kind import Fitted, Kind
from cofi_cli.tasks.metrics.basic import finite
from cofi_cli.tasks.metrics.sets import f1_of, multilabel_scores


class Multilabel(Kind):
    """Texts or pairs, each with a yes or no for each label."""

    name = "multilabel"
    summary = "any number of classes a row"
    problem_type = "multi_label_classification"
    soft_loss = "sets"
    metrics = ("micro_f1", "macro_f1", "subset_accuracy")
    agreement = "micro F1 of its labels against the teacher's"

    def score(
        self, outputs: Any, reference: Any, labels: Sequence[str], metrics: Sequence[str]
    ) -> dict[str, float]:
        """Score a yes or no for each label, (rows, C); yes is a probability of at least 0.5."""
        gold = np.asarray(reference) > 0.5
        logits = np.asarray(outputs, dtype=np.float64).reshape(-1, len(labels))
        found = multilabel_scores(gold, finite(logits, len(gold)) >= 0)
        return {name: 100.0 * found[name] for name in metrics}

    def agree(self, ours: Any, theirs: Any) -> float:
        """Return micro F1, 1.0 where neither ever says yes."""
        yes, gold = ours >= 0, theirs >= 0
        same = f1_of(np.asarray((yes & gold).sum()), np.asarray((yes ^ gold).sum()))
        return float(np.nan_to_num(same, nan=1.0))

    def _constant(self, gold: Any, classes: int) -> Any:
        """Return the set of the labels that most rows have."""
        return gold.mean(0) - 0.5

    def fits(self, teacher: Fitted) -> int:
        """Return 2 for a pooled head for several labels, 1 for one that says nothing of it."""
        if teacher.head != self.head:
            return 0
        if teacher.problem_type == self.problem_type:
            return 2
        return int(len(teacher.labels) > 1 and not teacher.problem_type)


KIND = Multilabel()
