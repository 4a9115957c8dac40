"""The command line: ``python -m containerd_aio``, and the command ``containerd-aio``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without the extra that it needs, say what to install."""
    try:
        from containerd_aio.cli.app import app

        app()
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "asyncinotify"):
            raise
        sys.exit("the command line needs some more packages: pip install 'containerd-aio[cli]'")


if __name__ == "__main__":
    main()
