"""`python -m hack.demo up|show|down`."""

import sys
from pathlib import Path

import typer
from rich.console import Console

from hack.cluster.errors import ClusterError
from hack.demo.closing import save_picture, show_results
from hack.demo.scenes import Demo, play
from hack.images.errors import ImageError

app = typer.Typer(
    help="Two trainings on real data in workspace ws-alice: what they need is made, what there is is kept.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def up() -> None:
    """Make the workspace, apply the samples, watch them, and show what came of them. Trains nothing twice."""
    demo, console = Demo.connect(), Console()
    play(demo, console)
    show_results(demo, console)


@app.command()
def show() -> None:
    """Show what is there."""
    show_results(Demo.connect(), Console())


@app.command()
def picture(path: Path = typer.Argument(help="The SVG to write.")) -> None:
    """Write the picture of the README."""
    save_picture(Demo.connect(), path)


@app.command()
def down() -> None:
    """Delete the workspace and the demo's servers from a cluster that stays (CLUSTER=current)."""
    Demo.connect().delete()


def main() -> None:
    """Run the command; an error that the user can act on is one sentence."""
    try:
        app()
    except (ImageError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
