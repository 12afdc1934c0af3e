"""The teacher's logits and tapped layers, kept or computed at each step.

The teacher runs without dropout, so its outputs are a function of the example.
The kept ones are computed once, before the stage, in batches of fixed content:
a resumed run finds the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from cofi_cli.modeling import CofiForEmbedding, CofiForTask
from cofi_cli.tasks import Encoded, collate, eval_batches
from cofi_cli.training.evaluation import INPUTS
from cofi_cli.training.stages.precision import autocast

_GB = 1e9
_SPARE = 0.25
"""Share of a GPU's free memory that kept outputs may take."""


def real_positions(attention_mask: Tensor) -> Tensor:
    """Return the flat indices of unpadded positions, (n,), of a (B, T) mask."""
    return attention_mask.flatten().nonzero().flatten()


def select_positions(state: Tensor, positions: Tensor | None) -> Tensor:
    """Return (n, d) of a (B, T, d) state; all B·T positions for ``None``."""
    flat = state.reshape(-1, state.shape[-1])
    if positions is None or positions.numel() == flat.shape[0]:
        return flat
    return flat.index_select(0, positions)


def _answer_width(teacher: CofiForTask) -> int:
    config = teacher.config
    return config.pooler_size if isinstance(teacher, CofiForEmbedding) else config.num_labels


class TeacherOutputs:
    """Outputs by example.

    Args:
        teacher: dense, fine-tuned.
        encoded: the training split.
        taps: teacher layers to keep, from 0; empty for logits only.
        pad_id, device, batch_size: for running the teacher.
        budget_gb: memory for kept outputs; too little runs the teacher each step.
        mask_padding: keep real positions only; otherwise nothing can be kept, since
            padding positions depend on the batch.
    """

    def __init__(
        self,
        teacher: CofiForTask,
        encoded: Encoded,
        *,
        taps: Sequence[int],
        pad_id: int,
        device: torch.device,
        batch_size: int = 64,
        budget_gb: float = 0.0,
        mask_padding: bool = True,
        precision: str = "fp32",
    ) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.encoded, self.taps, self.pad_id, self.device = (
            encoded,
            list(taps),
            pad_id,
            device,
        )
        self.mask_padding, self.batch_size, self.precision = (
            mask_padding,
            batch_size,
            precision,
        )
        tokens, hidden = int(encoded.lengths.sum()), teacher.config.hidden_size
        answers = tokens if teacher.per_token else len(encoded)
        width = self._width = _answer_width(teacher)
        # What was computed in bf16 has no more digits to keep.
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        kept = tokens * len(self.taps) * hidden * self.dtype.itemsize
        self.needed_gb = (kept + answers * width * 4) / _GB
        self.is_kept = mask_padding and 0 < self.needed_gb <= budget_gb
        self._logits: Tensor | None = None
        self._states: Tensor | None = None
        self._starts = np.concatenate([[0], np.cumsum(encoded.lengths)])

    @property
    def is_ready(self) -> bool:
        """Whether the kept outputs are computed."""
        return self._logits is not None

    def prepare(self, tick: Callable[[int], None] | None = None) -> None:
        """Compute what is kept; ``tick`` takes the number of examples done."""
        if not self.is_kept or self._logits is not None:
            return
        tokens, hidden = int(self._starts[-1]), self.teacher.config.hidden_size
        per_token = self.teacher.per_token
        home = self._home()
        logits = torch.empty(tokens if per_token else len(self.encoded), self._width, device=home)
        states = torch.empty(len(self.taps), tokens, hidden, dtype=self.dtype, device=home)
        done = 0
        for indices in eval_batches(self.encoded.lengths, batch_size=self.batch_size):
            batch = collate(self.encoded, indices, pad_id=self.pad_id, device=self.device)
            out_logits, out_states = self._run(batch)
            place = self._positions(indices).to(home)
            logits[place if per_token else indices] = out_logits.to(home)
            if self.taps:
                states.index_copy_(1, place, out_states.to(home, self.dtype))
            done += len(indices)
            if tick is not None:
                tick(done)
        self._logits, self._states = logits, states

    def _home(self) -> torch.device:
        """Return where outputs are kept: on a GPU with room to spare, else in main memory.

        Fetching them from main memory would take as long as running the teacher on the GPU.
        """
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if self.needed_gb * _GB <= free * _SPARE:
                return self.device
        return torch.device("cpu")

    def _positions(self, indices: Sequence[int]) -> Tensor:
        ranges = [np.arange(self._starts[i], self._starts[i + 1]) for i in indices]
        return torch.from_numpy(np.concatenate(ranges))

    @torch.no_grad()
    def _run(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        with autocast(self.precision, self.device):
            out = self.teacher.run(**{k: batch[k] for k in INPUTS})
        positions = real_positions(batch["attention_mask"]) if self.mask_padding else None
        states = [select_positions(out.states[tap + 1], positions).float() for tap in self.taps]
        logits = out.logits.float()
        if self.teacher.per_token:
            logits = select_positions(logits, real_positions(batch["attention_mask"]))
        return logits, torch.stack(states) if states else logits.new_zeros(0)

    def get(self, batch: dict[str, Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return logits and tapped states of the batch's positions, (taps, n, d).

        Logits are (B, C), of a head that answers for each token those of real positions, (n, C).
        """
        if self._logits is None or self._states is None:
            return self._run(batch)
        home = self._logits.device
        place = self._positions(indices) if self.teacher.per_token else torch.tensor(indices)
        logits = self._logits.index_select(0, place.to(home)).to(self.device)
        if not self.taps:
            return logits, logits.new_zeros(0)
        place = self._positions(indices).to(home)
        states = torch.stack([state.index_select(0, place) for state in self._states])
        return logits, states.to(self.device).float()
