"""Installed as ``optimum/commands/register/cofi.py``: ``optimum-cli`` imports what lies there."""

from __future__ import annotations

import sys
from importlib.util import find_spec

if sys.argv[1:3] == ["export", "onnx"] and find_spec("optimum.exporters.onnx"):
    import cofi_cli.optimum_onnx  # noqa: F401
