"""`python -m hack.services up|list`."""

import sys

import typer

from hack.cluster.errors import ClusterError
from hack.images.errors import ImageError
from hack.kubectl import default_kubeconfig
from hack.services.install import addresses, install

app = typer.Typer(help="The demo's S3 and Git servers.", no_args_is_help=True, add_completion=False)


@app.command()
def up() -> None:
    """Build, load and start them, and print their addresses."""
    install(default_kubeconfig())
    list_command()


@app.command("list")
def list_command() -> None:
    """Print their addresses for this machine."""
    for name, address in addresses(default_kubeconfig()).items():
        print(f"{name}: {address}")


def main() -> None:
    """Run the command; an error that the user can act on is one sentence."""
    try:
        app()
    except (ImageError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
