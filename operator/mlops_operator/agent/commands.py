"""The commands that do one thing and end: ``stage-in`` and ``snapshot``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from mlops_operator.agent.failure import report_of, write_report
from mlops_operator.agent.places import Places
from mlops_operator.agent.snapshot import snapshot
from mlops_operator.agent.stage_in import stage_in
from mlops_operator.agent.trust import write_bundle
from mlops_operator.agent.workers import own_identity
from mlops_operator.api.wire import ORDER_VARIABLE, SnapshotOrder, StageInOrder, TerminationReport
from mlops_operator.errors import MlopsError

_log = logging.getLogger(__name__)


def run_stage_in(places: Places, environment: Mapping[str, str], entrypoint: Path) -> int:
    """Do what the order says; give the exit code, and the reason in the termination log."""

    def work() -> None:
        order = StageInOrder.model_validate_json(environment.get(ORDER_VARIABLE, ""))
        order = order.model_copy(update={"run": own_identity(order.run, environment)})
        stage_in(order, places, entrypoint)

    return _run(places, environment, work)


def run_snapshot(places: Places, environment: Mapping[str, str]) -> int:
    """Do what the order says; give the exit code, and the reason in the termination log."""

    def work() -> None:
        snapshot(SnapshotOrder.model_validate_json(environment.get(ORDER_VARIABLE, "")), places)

    return _run(places, environment, work)


def _run(places: Places, environment: Mapping[str, str], work: Callable[[], None]) -> int:
    try:
        write_bundle(places, environment)
        work()
    except ValidationError as error:
        # Not the value itself: an order may hold what a log should not.
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        report = TerminationReport(
            cause="InternalError", message=f"the order in {ORDER_VARIABLE} is wrong: {problems}"
        )
    except (MlopsError, OSError) as error:
        report = report_of(error)
    except Exception as error:  # noqa: BLE001 - told as InternalError
        _log.exception("this should not happen")
        report = report_of(error)
    else:
        return 0
    _log.error("%s: %s", report.cause, report.message)
    write_report(places.termination_log, report)
    return 1
