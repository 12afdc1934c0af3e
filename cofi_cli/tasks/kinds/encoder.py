"""A state for each token, learned from the model itself: a small encoder for many tasks.

No label is read. What is learned is the last hidden state of every token, at MODEL's width.
"""

import numpy as np

from cofi_cli.errors import CofiError
from cofi_cli.tasks.encoded import Ragged
from cofi_cli.tasks.files.file import Ask, File, FileRows
from cofi_cli.tasks.kind import Fitted, Kind, Shape
from cofi_cli.tasks.kinds.embedding import bare_texts
from cofi_cli.tasks.metrics.basic import cosines


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
        """Read texts, each once, of which each text column gives rows.

        Raises:
            CofiError: no such file (exit code 6), a fault in it, or a label column is named.
        """
        if ask.config.label:
            raise CofiError(
                "--label would be ignored: --kind encoder learns from texts alone.",
                hint="Leave --label out. Labels come afterwards: cofi finetune RUN/model "
                "--train FILE --validation FILE",
            )
        return bare_texts(file, ask.config)

    def agree(self, ours: Ragged, theirs: Ragged) -> float:
        """Return the mean cosine over real tokens, of rows of (length, d)."""
        pairs = zip(ours, theirs, strict=True)  # row by row: in float64 all are large
        found = [cosines(*(np.asarray(x, dtype=np.float64) for x in pair)) for pair in pairs]
        return float(np.concatenate(found).mean())

    def answer_shape(self, batch: Shape, answer: Shape, labels: int) -> Shape:
        """Return a vector a token, of any width."""
        return (*batch, answer[-1])

    def fits(self, teacher: Fitted) -> int:
        """Return 0: every checkpoint has states, and no labels name them."""
        return 0


KIND = Encoder()
