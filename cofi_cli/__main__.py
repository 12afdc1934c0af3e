"""``python -m cofi_cli`` is ``cofi``."""

from cofi_cli.cli.main import main

if __name__ == "__main__":
    main()
