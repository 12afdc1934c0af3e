"""The machine that a figure was measured on, as records state it."""

from __future__ import annotations

from cofi_cli.runs.records.store import Part


class Machine(Part):
    """Processor, memory, system and GPU; ``None`` where unknown.

    Attributes:
        flags: the instruction sets that decide how fast matrix products run.
        cores, logical_cores: that this process may use.
        memory_gb: GiB.
        load_1min: as the record was made.
    """

    cpu: str
    flags: list[str]
    cores: int
    logical_cores: int
    memory_gb: float | None
    load_1min: float | None
    os: str
    python: str
    gpu: str | None
    driver: str | None
