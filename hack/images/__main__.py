"""`python -m hack.images build|load|list`."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hack.cluster.errors import ClusterError
from hack.images import build as building
from hack.images import load as loading
from hack.images.catalogue import IMAGES, ON_DEMAND, chosen, keyed
from hack.images.errors import ImageError

app = typer.Typer(
    help="The images of the operator and of the demo.", no_args_is_help=True, add_completion=False
)
Names = Annotated[
    list[str] | None,
    typer.Argument(help="Short names of images; when none is given, all but those built on demand."),
]
BYTES_PER_MB = 1_000_000


@app.command("build")
def build_command(names: Names = None) -> None:
    """Build what has changed and print the references."""
    for image in building.build(chosen(names or [])):
        print(image.reference)


@app.command("load")
def load_command(names: Names = None) -> None:
    """Build what has changed and bring it to the cluster."""
    for reference in loading.load(building.build(chosen(names or []))).values():
        print(reference)


@app.command("list")
def list_command() -> None:
    """Show each image, its key now, and whether it is built."""
    table = Table("image", "key", "built", "MB")
    for image in (*IMAGES, *ON_DEMAND):
        try:
            now = keyed(image)
        except ImageError as error:
            table.add_row(image.name, "-", str(error), "-")
            continue
        archive = building.archive_of(now)
        size = f"{archive.stat().st_size / BYTES_PER_MB:.0f}" if archive.exists() else "-"
        table.add_row(now.reference, now.key, "yes" if archive.exists() else "no", size)
    Console().print(table)


def main() -> None:
    """Run the command; an error that the user can act on is one sentence."""
    try:
        app()
    except (ImageError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
