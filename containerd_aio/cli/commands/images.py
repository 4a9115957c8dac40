"""Images: ``images``, ``import``."""

from __future__ import annotations

from typing import Annotated

import typer

from containerd_aio.cli.options import Address, AsJson, Namespace, Quiet, examples
from containerd_aio.cli.program import finish

app = typer.Typer()


@app.command(epilog=examples("images", "images --json"))
def images(
    quiet: Quiet = False, as_json: AsJson = False, address: Address = None, namespace: Namespace = None
) -> None:
    """Show the images.

    The columns: name, digest, size as it is transferred, how long ago the name was made.
    """
    from containerd_aio.cli.images import show_images

    finish(show_images(address=address, namespace=namespace, quiet=quiet, as_json=as_json))


@app.command("import", epilog=examples("import busybox.tar", "import - < app.tar"))
def import_(
    archive: Annotated[
        str,
        typer.Argument(
            metavar="ARCHIVE", help="An OCI layout, or what `docker save` writes, as tar; - is stdin."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="The name for an image that the archive gives none.")
    ] = None,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Import the images of an archive."""
    from containerd_aio.cli.images import import_archive

    finish(import_archive(archive, address=address, namespace=namespace, name=name))
