"""A state for each token, learned from the model itself: a small encoder for many tasks.

No label is read. What is learned is the last hidden state of every token, at MODEL's width. Rows
are texts, or pairs of texts for tasks of pairs: attention between two texts is learned from pairs.
"""

import numpy as np

from cofi_cli.errors import CofiError
from cofi_cli.tasks.encoded import Ragged
from cofi_cli.tasks.files.columns import read_texts, text_columns
from cofi_cli.tasks.files.file import Ask, File, FileRows
from cofi_cli.tasks.kind import Kind
from cofi_cli.tasks.kinds.embedding import bare_texts
from cofi_cli.tasks.metrics.basic import cosines
from cofi_cli.tasks.rows import Split


class Encoder(Kind):
    """Texts to train on, and to score on."""

    name = "encoder"
    summary = "a state for each token"
    head = "encoder"
    outputs = 1
    soft_loss = "vectors"
    metrics = ("agreement",)
    agreement = "the mean cosine of the model's token states to the teacher's"
    pipeline = "feature-extraction"
    auto = "AutoModel"
    preset = "embedding"
    has_labels = False
    per_token = True
    bag = None
    kept_as = "float16"

    def read(self, file: File, ask: Ask) -> FileRows:
        """Read the lines of a .txt, or a table's texts or pairs of texts, each once.

        Raises:
            CofiError: no such file (exit code 6), a fault in it, or a label column is named.
        """
        if ask.config.label:
            raise CofiError(
                "--label would be ignored: --kind encoder learns from texts alone.",
                hint="Leave --label out. Labels come afterwards: cofi finetune RUN/model "
                "--train FILE --validation FILE",
            )
        if file.is_plain:
            return bare_texts(file, ask.config)
        rows = read_texts(file.table, text_columns(file.table, ask.config))
        return FileRows(Split(list(dict.fromkeys(rows)), None))

    def agree(self, ours: Ragged, theirs: Ragged) -> float:
        """Return the mean cosine over real tokens, of rows of (length, d)."""
        pairs = zip(ours, theirs, strict=True)  # row by row: in float64 all are large
        found = [cosines(*(np.asarray(x, dtype=np.float64) for x in pair)) for pair in pairs]
        return float(np.concatenate(found).mean())


KIND = Encoder()
