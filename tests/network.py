"""Denies the network to this process and to all that it starts, and remembers who asked for it.

An audit hook sees what a patched socket would miss: every module that opens a connection or asks
for an address in Python. The same file is the ``sitecustomize`` of child processes. This machine's
own addresses and sockets that are files stay open.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

NOTES = "TESTS_DENY_NETWORK"
"""Environment variable: the file that requests are noted in; without it all goes through."""
_OWN = ("127.", "::1", "localhost", "0.0.0.0")


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what leaves this machine."""
    if event not in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        return
    notes = os.environ.get(NOTES)
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    is_file = event != "socket.getaddrinfo" and not isinstance(address, tuple)
    if not notes or is_file or host is None or str(host).startswith(_OWN):
        return
    with Path(notes).open("a", encoding="utf-8") as file:
        file.write(f"{event} {host}\n")
    raise PermissionError(f"{event} {host}: the network is denied")


if os.environ.get(NOTES) or "pytest" in sys.modules:
    sys.addaudithook(hook)
