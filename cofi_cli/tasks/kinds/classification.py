"""One class a row."""

from cofi_cli.tasks.kind import Fitted, Kind


class Classification(Kind):
    """Texts or pairs, each of one class."""

    name = "classification"
    summary = "one class a row"
    problem_type = "single_label_classification"
    metrics = ("accuracy", "macro_f1")
    agreement = "the share of rows where both give the same class"

    def fits(self, teacher: Fitted) -> int:
        """Return 2 for a pooled head with several outputs that is not for several labels."""
        is_many = len(teacher.labels) > 1 and teacher.problem_type != "multi_label_classification"
        return 2 if teacher.head == self.head and is_many else 0


KIND = Classification()
