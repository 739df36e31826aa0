"""The agent's command line: ``python -m mlops_operator.agent {stage-in,sidecar,snapshot}``.

Each command imports what it needs: the sidecar answers MLflow clients before anything large is loaded.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from mlops_operator.agent import __version__
from mlops_operator.agent.places import Places

_log = logging.getLogger("mlops_operator.agent")
_EPILOG = """\
The order is JSON in the environment variable MLOPS_ORDER (mlops_operator.api.wire: StageInOrder, SidecarOrder,
SnapshotOrder). A command that fails writes {"cause", "message"} to /dev/termination-log and exits with 1.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and give its exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    places = Places(options.root)
    if options.command == "sidecar":
        from mlops_operator.agent.sidecar import run_sidecar  # noqa: PLC0415

        return run_sidecar(places, os.environ, port=options.port)
    from mlops_operator.agent.commands import run_snapshot, run_stage_in  # noqa: PLC0415

    if options.command == "stage-in":
        return run_stage_in(places, os.environ, options.entrypoint)
    return run_snapshot(places, os.environ)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_operator.agent",
        description="What runs inside the pods of a workspace, beside the user's training.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="DIR",
        help="folder that stands for / of the pod, to run outside of one (default: /)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    stage_in = commands.add_parser(
        "stage-in", help="put entrypoint, code, datasets and parameters in place, each file checked"
    )
    stage_in.add_argument(
        "--entrypoint",
        type=Path,
        default=Path("/usr/local/bin/entrypoint"),
        metavar="FILE",
        help="program that will run the user's command (default: %(default)s)",
    )
    sidecar = commands.add_parser(
        "sidecar", help="answer the MLflow API, follow metrics, report progress, upload what was made"
    )
    sidecar.add_argument(
        "--port",
        type=int,
        default=5000,
        help="port of the MLflow API on the loopback interface; 0: any, written to the file ready (default: %(default)s)",
    )
    commands.add_parser(
        "snapshot", help="hash every file of a dataset's source and write the version's manifest"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
