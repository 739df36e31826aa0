"""What the sidecar does about the course of a training: keeps its checkpoints, follows its objective, ends it early."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable

from mlops_operator.agent.checkpoints import CheckpointSync
from mlops_operator.agent.objective import ObjectiveWatch
from mlops_operator.agent.places import Places, write_whole
from mlops_operator.agent.tracking import Tracking
from mlops_operator.api.checkpoints import CheckpointStatus
from mlops_operator.api.objective import ObjectiveStatus
from mlops_operator.api.wire import STOP_FILE, SidecarOrder, TrainingExit
from mlops_operator.storage.client import Bucket

_log = logging.getLogger(__name__)


class Steering:
    """Checkpoints and objective of a run, as far as its order asks for them; of several workers, of the first.

    Parameters
    ----------
    bucket
        For what is uploaded while the code trains.
    deadline
        Gives the time (of time.monotonic) at which uploads of checkpoints stop, or None.
    """

    def __init__(
        self,
        order: SidecarOrder,
        places: Places,
        tracking: Tracking,
        bucket: Bucket,
        deadline: Callable[[], float | None],
    ) -> None:
        self._places = places
        self._asked = False
        self.changes = 0
        self._objective: ObjectiveWatch | None = None
        self._checkpoints: CheckpointSync | None = None
        if order.objective is not None and not order.run.worker:
            self._objective = ObjectiveWatch(order.objective, tracking)
        if order.checkpoints is not None and not order.run.worker:
            self._checkpoints = CheckpointSync(
                order=order.checkpoints,
                run=order.run,
                folder=places.path(order.checkpoints.folder),
                bucket=bucket,
                deadline=deadline,
                changed=self._count,
                objective=self._objective,
            )

    def start(self) -> None:
        """Begin to upload checkpoints."""
        if self._checkpoints is not None:
            threading.Thread(target=self._checkpoints.watch, name="checkpoints", daemon=True).start()

    def poll(self) -> None:
        """See how the objective stands; where patience is over, ask the entrypoint to end the command."""
        if self._objective is None:
            return
        self._objective.poll()
        if self._objective.exhausted and not self._asked:
            self._asked = True
            _log.info("stopping early: %s", self._objective.sentence)
            write_whole(
                self._places.path(STOP_FILE), json.dumps({"message": self._objective.sentence}).encode()
            )

    def finish(self, training: TrainingExit, bucket: Bucket) -> list[str]:
        """Upload the last checkpoints; give sentences on what could not be kept."""
        return self._checkpoints.finish(training, bucket) if self._checkpoints is not None else []

    @property
    def checkpoint(self) -> CheckpointStatus | None:
        """The newest checkpoint in the bucket that this process brought there."""
        return self._checkpoints.latest if self._checkpoints is not None else None

    def objective(self) -> ObjectiveStatus | None:
        """Give how the objective stands."""
        if self._objective is None:
            return None
        return self._objective.status(self._checkpoints.best_uri if self._checkpoints is not None else None)

    def _count(self) -> None:
        self.changes += 1
