"""The teacher's logits and tapped layers, kept or computed at each step.

The teacher runs without dropout, so its outputs are a function of the example.
The kept ones are computed once, before the stage, in batches of fixed content:
a resumed run finds the same bits. They are kept in memory, or in a file where
memory does not hold them or several processes share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cofi_cli.errors import enough_memory
from cofi_cli.modeling import CofiForTask
from cofi_cli.tasks import Encoded, collate, eval_batches
from cofi_cli.training.evaluation import INPUTS
from cofi_cli.training.mapped import mapped_tensor
from cofi_cli.training.processes import Processes
from cofi_cli.training.stages.precision import autocast

_GB = 1e9
_SPARE = 0.25
"""Share of a GPU's free memory that kept outputs may take."""


def real_positions(batch: Mapping[str, Tensor]) -> Tensor:
    """Return the flat indices of unpadded positions, (n,), of a (B, T) batch."""
    known = batch.get("positions")
    return batch["attention_mask"].flatten().nonzero().flatten() if known is None else known


def select_positions(state: Tensor, positions: Tensor | None) -> Tensor:
    """Return (n, d) of a (B, T, d) state; all B·T positions for ``None``."""
    flat = state.reshape(-1, state.shape[-1])
    if positions is None or positions.numel() == flat.shape[0]:
        return flat
    return flat.index_select(0, positions)


class TeacherOutputs:
    """Outputs by example.

    Args:
        teacher: dense, fine-tuned.
        encoded: the training split.
        taps: teacher layers to keep, from 0; empty for logits only.
        pad_id, device, batch_size: for running the teacher.
        budget_gb: memory for kept outputs.
        disk_gb: room in ``folder`` for what memory does not hold, in bf16 then; too little of
            both runs the teacher each step.
        folder: of the file.
        processes: that compute the outputs together; ``None`` = one.
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
        disk_gb: float = 0.0,
        folder: Path | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.encoded, self.taps = encoded, list(taps)
        self.pad_id, self.device, self.batch_size = pad_id, device, batch_size
        self.mask_padding, self.precision = mask_padding, precision
        tokens, hidden = int(encoded.lengths.sum()), teacher.config.hidden_size
        answers = tokens if teacher.per_token else len(encoded)
        answers *= teacher.answer_width * teacher.kept_as.itemsize
        # What was computed in bf16 has no more digits to keep.
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        states = tokens * len(self.taps) * hidden
        self.needed_gb = (states * self.dtype.itemsize + answers) / _GB
        self.is_kept = mask_padding and 0 < self.needed_gb <= budget_gb
        self.folder, self.processes = folder, processes
        self.is_on_disk = processes is not None and processes.count > 1
        if mask_padding and folder is not None and not self.is_kept and budget_gb > 0:
            needed = (states * torch.bfloat16.itemsize + answers) / _GB
            self.is_kept = self.is_on_disk = 0 < needed <= disk_gb
            if self.is_kept:
                self.dtype, self.needed_gb = torch.bfloat16, needed
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
        shapes = (
            (tokens if per_token else len(self.encoded), self.teacher.answer_width),
            (len(self.taps), tokens, hidden),
        )
        plan, count = eval_batches(self.encoded.lengths, batch_size=self.batch_size), 1
        if self.is_on_disk and self.folder is not None and self.processes is not None:
            home, processes = torch.device("cpu"), self.processes
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self.folder / "teacher_outputs"
            logits = mapped_tensor(file, shapes[0], self.teacher.kept_as, processes)
            states = mapped_tensor(file, shapes[1], self.dtype, processes)
            count = processes.local_count
            plan = plan[processes.local_index :: count]
        else:
            logits = torch.empty(*shapes[0], dtype=self.teacher.kept_as, device=home)
            states = torch.empty(*shapes[1], dtype=self.dtype, device=home)
        done = 0
        for indices in plan:
            with enough_memory(
                "in the teacher", batch_size=self.batch_size, setting="--set train.eval_batch_size"
            ):
                batch = collate(self.encoded, indices, pad_id=self.pad_id, device=self.device)
                out_logits, out_states = self._run(batch)
            place = self._positions(indices).to(home)
            logits[place if per_token else indices] = out_logits.to(home, logits.dtype)
            if self.taps:
                states.index_copy_(1, place, out_states.to(home, self.dtype))
            done += len(indices)
            if tick is not None:
                tick(min(done * count, len(self.encoded)))
        if self.processes is not None:
            self.processes.wait()
        if self.is_on_disk:
            logits, states = logits.to(self._home()), states.to(self._home())
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
        positions = real_positions(batch) if self.mask_padding else None
        states = [select_positions(out.states[tap + 1], positions).float() for tap in self.taps]
        logits = out.logits.float()
        if self.teacher.per_token:
            logits = select_positions(logits, real_positions(batch))
        return logits, torch.stack(states) if states else logits.new_zeros(0)

    def get(self, batch: dict[str, Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return logits and tapped states of the batch's positions, (taps, n, d).

        Logits are (B, C), of a head that answers for each token those of real positions, (n, C).
        """
        if self._logits is None or self._states is None:
            return self._run(batch)
        home = self._logits.device
        place = self._positions(indices) if self.teacher.per_token else torch.tensor(indices)
        logits = self._logits.index_select(0, place.to(home)).to(self.device).float()
        if not self.taps:
            return logits, logits.new_zeros(0)
        place = self._positions(indices).to(home)
        states = torch.stack([state.index_select(0, place) for state in self._states])
        return logits, states.to(self.device).float()
