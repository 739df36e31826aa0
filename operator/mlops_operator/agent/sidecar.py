"""``sidecar``: beside the training in its pod.

Here is only what must be there before the training starts: the MLflow endpoint, in a fraction of a second. What
follows (`mlops_operator.agent.lifecycle`) is imported behind it.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from mlops_operator.agent.journal import Journal
from mlops_operator.agent.mlflow_api import MlflowApi
from mlops_operator.agent.mlflow_endpoint import MlflowEndpoint
from mlops_operator.agent.places import Places, write_whole
from mlops_operator.agent.tracking import Tracking

_log = logging.getLogger(__name__)


def tracking_run_id(uid: str, attempt: int) -> str:
    """Give the id of an attempt in MLflow's form, the same whenever it is asked for."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{uid}/{attempt}").hex


def run_sidecar(places: Places, environment: Mapping[str, str], *, port: int) -> int:
    """Run until SIGTERM; give the exit code."""
    terminating = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminating.set())
    signal.signal(signal.SIGINT, lambda *_: terminating.set())
    order = environment.get("MLOPS_ORDER", "")
    content: dict[str, Any] = json.loads(order)
    tracking = Tracking(
        run_id=tracking_run_id(content["run"]["uid"], content["run"].get("attempt", 1)),
        run_name=content["run"]["name"],
        folder=places.tracking,
        journal=Journal(places.run / "tracking.jsonl"),
    )
    with MlflowEndpoint(MlflowApi(tracking, content["experiment"]), port) as endpoint:
        write_whole(places.run / "ready", f"{endpoint.port}\n".encode())
        _log.info("answering MLflow clients on port %d", endpoint.port)
        from mlops_operator.agent.lifecycle import Lifecycle  # noqa: PLC0415 - takes a while to import

        return Lifecycle(order, places, tracking, environment, terminating).run()
