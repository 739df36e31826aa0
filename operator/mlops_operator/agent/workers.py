"""A run of several workers, as each of them sees it: which one it is, and what became of the others.

Worker 0 speaks for the run. Its files lie in the attempt's prefix, those of worker 3 below ``workers/3/``, each with a
manifest of its own. The run's manifest comes last: when all of them are there and say that all ended with 0.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from mlops_operator.api.wire import WORKER_VARIABLE, RunIdentity, RunManifest, WorkerSummary
from mlops_operator.errors import ObjectNotFound
from mlops_operator.storage.digest import document_digest
from mlops_operator.storage.layout import attempt_manifest_key
from mlops_operator.storage.objects import Objects

_log = logging.getLogger(__name__)
_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 5.0


def own_identity(run: RunIdentity, environment: Mapping[str, str]) -> RunIdentity:
    """Give the run as this worker's: an order is the same for all."""
    return run.of_worker(int(environment.get(WORKER_VARIABLE) or 0))


def await_others(
    bucket: Objects, run: RunIdentity, count: int, is_stopping: Callable[[], bool]
) -> list[WorkerSummary] | None:
    """Wait until the other workers have ended; None: one did not end with 0, or this pod is being stopped before.

    Raises
    ------
    StorageError
        The bucket did not answer for long.
    """
    found: dict[int, WorkerSummary] = {}
    pause = _FIRST_SECONDS
    while True:
        # The last look is taken after it is known that there is no more time.
        last = is_stopping()
        for index in range(1, count):
            if index not in found:
                ended = _ended(bucket, run.of_worker(index))
                if ended is None:
                    break
                summary, exit_code = ended
                if exit_code != 0:
                    _log.info("worker %d ended with exit code %d", index, exit_code)
                    return None
                found[index] = summary
        if len(found) == count - 1:
            return list(found.values())
        if last:
            _log.info("stopped while %d of %d workers had ended", len(found) + 1, count)
            return None
        time.sleep(pause)
        pause = min(_LONGEST_SECONDS, 1.5 * pause)


def _ended(bucket: Objects, run: RunIdentity) -> tuple[WorkerSummary, int] | None:
    """Read the manifest of a worker, and the exit code in it; None where there is none yet."""
    try:
        data = bucket.get_bytes(attempt_manifest_key(run))
    except ObjectNotFound:
        return None
    manifest = RunManifest.model_validate_json(data)
    training = manifest.training
    summary = WorkerSummary(
        index=run.worker,
        start_time=training.start_time,
        end_time=training.end_time,
        cpu_seconds=training.cpu_seconds,
        memory_peak_bytes=training.memory_peak_bytes,
        gpu_seconds=training.gpu_seconds,
        gpu_unmeasured=training.gpu_unmeasured,
        size_bytes=sum(entry.size_bytes for entry in manifest.files),
        manifest_digest=document_digest(data),
    )
    return summary, training.exit_code
