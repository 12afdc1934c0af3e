"""Which of several texts goes on from a context: multiple choice, as SWAG and HellaSwag ask it."""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks.encoded import Encoded, Ragged
from cofi_cli.tasks.encoding.texts import encode_rows
from cofi_cli.tasks.files.file import Ask, Labels
from cofi_cli.tasks.files.labels import to_classes
from cofi_cli.tasks.files.tables import Table
from cofi_cli.tasks.kind import Kind
from cofi_cli.tasks.rows import Split

CONTEXTS = ("context", "ctx", "question", "sent1", "startphrase")
_CHOICE = re.compile(r"(choice|ending)_?(\d+)", re.IGNORECASE)


class Choice(Kind):
    """Contexts, each with as many texts to choose among, and the number of the right one."""

    name = "choice"
    summary = "one of several texts a row"
    head = "choice"
    problem_type = "single_label_classification"
    metrics = ("accuracy",)
    agreement = "the share of rows where both choose the same text"
    group_name = "contexts"
    group_at = 0
    pipeline = "multiple-choice"
    auto = "AutoModelForMultipleChoice"
    keeps_order = True
    bag = None
    pair = ("context", "choices")

    def texts_of(self, table: Table, config: TaskConfig) -> tuple[str, ...]:
        """Return the columns: context, then choices in the order of their numbers."""
        if len(config.text) > 2:
            for name in config.text:
                table.column(name, hint="Name context and choices: --text COLUMN, once each.")
            return config.text
        found = {int(m[2]): name for name in table.columns if (m := _CHOICE.fullmatch(name))}
        context = next((name for name in table.columns if name.lower() in CONTEXTS), None)
        if context is None or len(found) < 2:
            raise CofiError(
                f"{table.path}: which columns are the context and the choices? "
                f"Its columns: {', '.join(table.columns)}.",
                hint="Call them context, choice0, choice1 and so on, or name them in this order "
                "with --text COLUMN, once each.",
            )
        return (context, *(found[number] for number in sorted(found)))

    def labels_of(self, table: Table, columns: tuple[str, ...], ask: Ask) -> Labels:
        """Read the number of the right choice, from 0."""
        texts = ask.like.text if ask.like else self.texts_of(table, ask.config)
        numbers = tuple(map(str, range(len(texts) - 1)))
        values = to_classes(table, columns[0], numbers, f"the {len(numbers)} choices")
        return Labels(values, ask.known.names if ask.known else numbers)

    def rows_of(self, split: Split, tokenizer: Any, max_length: int, **options: Any) -> Encoded:
        """Tokenise context and each choice as a pair; a row is all pairs of its context."""
        pairs: list[tuple[str, ...]] = [
            (context, choice) for context, *choices in split.texts for choice in choices
        ]
        flat = encode_rows(Split(pairs, None), tokenizer, max_length)
        parts = Ragged.over(flat.lengths, np.array([len(row) - 1 for row in split.texts]))
        lengths = np.array([own.sum() for own in parts], dtype=np.int64)
        labels = None if split.labels is None else np.asarray(split.labels, dtype=np.int64)
        return replace(
            flat,
            input_ids=Ragged.over(flat.input_ids.flat, lengths),
            token_type_ids=Ragged.over(flat.token_type_ids.flat, lengths),
            labels=labels,
            lengths=lengths,
            parts=parts,
        )


KIND = Choice()
