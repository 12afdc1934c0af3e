"""``python -m cofi_cli``, and the entry point of the command ``cofi``."""

from __future__ import annotations

from cofi_cli.cli.main import main

if __name__ == "__main__":
    main()
