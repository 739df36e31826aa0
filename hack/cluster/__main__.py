"""The command line of the local cluster: `python -m hack.cluster --help`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hack.cluster import build as builder
from hack.cluster import kind, lifecycle, provider
from hack.cluster import packages as debian
from hack.cluster.errors import ClusterError
from hack.cluster.places import HERE, RECORD
from hack.cluster.provider import Provider
from hack.cluster.record import Record

app = typer.Typer(
    help="A real one-node Kubernetes on a Debian 12 machine without Docker.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_console = Console(stderr=True, soft_wrap=True, highlight=False)


def _say(line: str) -> None:
    _console.print(line, markup=False)


@app.command()
def packages() -> None:
    """Install the Debian packages that are missing; their services are kept from starting."""
    installed = debian.install()
    _say(f"Installed {', '.join(installed)}." if installed else "All Debian packages are there.")


@app.command()
def build() -> None:
    """Build Kubernetes, CoreDNS, versitygw and Gitea, those that the cache lacks, and link them to .state/bin."""
    debian.install()
    builder.build(HERE)


@app.command()
def up() -> None:
    """Bring the cluster up: packages, builds, processes; returns once it can be used.

    CLUSTER=kind|local|current chooses; by default kind where Docker and kind are there, else local.
    """
    chosen = provider.choose(os.environ)
    if chosen is Provider.LOCAL:
        debian.install()
        builder.build(HERE)
        lifecycle.up(_say)
    elif chosen is Provider.KIND:
        kind.up(HERE)
    kubeconfig = provider.kubeconfig(chosen, HERE, os.environ)
    _say(f"Cluster: {chosen}. To use it: export KUBECONFIG={kubeconfig} PATH={HERE.bin}:$PATH")


@app.command()
def down() -> None:
    """Bring the cluster down; nothing of it stays behind on the machine. The user's own is left alone."""
    chosen = provider.choose(os.environ)
    if chosen is Provider.KIND:
        kind.down(HERE)
    elif chosen is Provider.LOCAL:
        lifecycle.down(_say)


@app.command()
def status() -> None:
    """Show each process of the local cluster; the exit code is 0 when it can be used."""
    table = Table("process", "pid", "state", "restarts", "since (s)")
    for row in lifecycle.status(HERE):
        state = "ready" if row.ready else "starting" if row.alive else "down"
        table.add_row(row.name, str(row.pid), state, str(row.restarts), f"{row.seconds:.0f}")
    Console().print(table)
    record = Record.load(RECORD)
    _say(f"Owner: {record.owner}" if record else "No cluster is running.")
    if not lifecycle.healthy(HERE):
        raise typer.Exit(1)


@app.command()
def load(archives: Annotated[list[Path], typer.Argument(help="OCI or Docker archives (tar).")]) -> None:
    """Load image archives into the cluster; `localhost/NAME:TAG` can then also be called `NAME:TAG`."""
    provider.load(provider.choose(os.environ), HERE, archives)


def main() -> None:
    """Run the command line; an error to act on is a sentence, not a traceback."""
    try:
        app()
    except ClusterError as error:
        _console.print(str(error), markup=False, style="red")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
