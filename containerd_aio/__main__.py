"""The command line: ``python -m containerd_aio``, and the command ``containerd-aio``."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line; without the extra that it needs, say what to install."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as long as nothing is made: an end without a traceback
    try:
        from containerd_aio.cli.app import app
        from containerd_aio.cli.program import output_checked

        with output_checked():
            app()
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "asyncinotify"):
            raise
        sys.exit("the command line needs some more packages: pip install 'containerd-aio[cli]'")


if __name__ == "__main__":
    main()
