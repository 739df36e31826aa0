"""The command line: ``python -m mlops_operator run --config config.yaml``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from mlops_operator.errors import MlopsError

_CONFIG = Path("/etc/mlops-operator/config.yaml")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except MlopsError as error:
        print(f"mlops-operator: {error}", file=sys.stderr)  # noqa: T201 - the answer to a person
        return 1
    return code


def _run(options: argparse.Namespace) -> int:
    # Imported here: the other commands, and --help, answer without waiting for the client libraries.
    import asyncio  # noqa: PLC0415

    from mlops_operator.controller import logs  # noqa: PLC0415
    from mlops_operator.controller.app import Options, run  # noqa: PLC0415
    from mlops_operator.controller.identity import own_namespace  # noqa: PLC0415
    from mlops_operator.controller.lease import LeaseLostError  # noqa: PLC0415
    from mlops_operator.settings import Settings  # noqa: PLC0415

    logs.set_up(options.log_level)
    settings = Settings.load(options.config)
    process = Options(
        namespace=options.namespace or own_namespace(),
        kubeconfig=options.kubeconfig,
        workers=options.workers,
        host=options.host,
        health_port=options.health_port,
        progress_port=options.progress_port,
    )
    try:
        asyncio.run(run(settings, process))
    except LeaseLostError as error:
        logging.getLogger("mlops_operator").error("ending: %s", error)  # noqa: TRY400 - no defect, no trace
        return _leave(1)
    return _leave(0)


def _leave(code: int) -> int:
    """End without waiting for threads: what they do is idempotent, and another process may lead already."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def _check_config(options: argparse.Namespace) -> int:
    from mlops_operator.settings import Settings  # noqa: PLC0415

    Settings.load(options.config)
    print(f"{options.config} is right")  # noqa: T201 - the answer to a person
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlops_operator",
        description="An operator that trains, stores and publishes models in workspaces.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run the operator until SIGTERM",
        description="Run the operator: in a cluster with its pod's service account, elsewhere with a kubeconfig.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_config(run)
    run.add_argument(
        "--kubeconfig", type=Path, default=None, help="kubeconfig; only needed outside of a cluster"
    )
    run.add_argument(
        "--namespace", default=None, help="the operator's own namespace, for its Lease; the pod's"
    )
    run.add_argument("--workers", type=int, default=16, help="resources that are worked on at a time")
    run.add_argument("--host", default="0.0.0.0", help="address that both servers listen on")  # noqa: S104
    run.add_argument("--health-port", type=int, default=8080, help="/healthz, /readyz, /metrics")
    run.add_argument("--progress-port", type=int, default=8443, help="where agents report, by HTTPS")
    run.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"], help=" ")
    run.set_defaults(command=_run)
    check = commands.add_parser("check-config", help="say whether a configuration can be used")
    _add_config(check)
    check.set_defaults(command=_check_config)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=_CONFIG, help="the configuration, YAML")


if __name__ == "__main__":
    sys.exit(main())
