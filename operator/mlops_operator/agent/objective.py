"""The objective while the code trains: its best value, and whether it still gets better."""

from __future__ import annotations

import math
from collections import OrderedDict

from mlops_operator.agent.tracking import Point, Tracking
from mlops_operator.api.objective import ObjectiveStatus
from mlops_operator.api.wire import ObjectiveOrder

_REMEMBERED_STEPS = 10_000


class ObjectiveWatch:
    """Follows one metric of what is tracked.

    It reads the journal, from its beginning: a restarted sidecar comes to the same state.
    """

    def __init__(self, order: ObjectiveOrder, tracking: Tracking) -> None:
        self._order = order
        self._tracking = tracking
        self._position = 0
        self._sign = 1.0 if order.goal == "Maximize" else -1.0
        self._bar = order.best  # what a value must be better than to count
        self._values: OrderedDict[int, float] = OrderedDict()
        self.best = order.best
        self.step = order.step
        self.stale = 0

    def poll(self) -> None:
        """Take in what was logged since the last time."""
        end = self._tracking.history_size
        for run_id, point in self._tracking.history(self._position, end):
            run = self._tracking.runs.get(run_id)
            if point.name == self._order.name and not (run is not None and run.nested):
                self._take(point)
        self._position = end

    @property
    def exhausted(self) -> bool:
        """Whether patience is over."""
        return self._order.patience is not None and self.stale >= self._order.patience

    @property
    def sentence(self) -> str:
        """Say how it stands, for people."""
        return (
            f"{self._order.name} was no better for {self.stale} values in a row; the best is {self.best}"
            f" at step {self.step}"
        )

    def value_at(self, step: int | None) -> float | None:
        """Give the value that was logged last at a step, as far as it is remembered."""
        return self._values.get(step) if step is not None else None

    def carried(self, checkpoint: str) -> float | None:
        """Give the best value of the attempts before, if this was their best checkpoint."""
        return self._order.best if checkpoint == self._order.checkpoint else None

    def is_better(self, value: float, than: float | None) -> bool:
        return than is None or self._sign * value > self._sign * than

    def status(self, checkpoint: str | None = None) -> ObjectiveStatus:
        return ObjectiveStatus(
            name=self._order.name,
            goal=self._order.goal,
            best=self.best,
            step=self.step,
            checkpoint=checkpoint or self._order.checkpoint,
        )

    def _take(self, point: Point) -> None:
        if not math.isfinite(point.value):
            self.stale += 1
            return
        self._values[point.step] = point.value
        self._values.move_to_end(point.step)
        if len(self._values) > _REMEMBERED_STEPS:
            self._values.popitem(last=False)
        if self.is_better(point.value, self.best):
            self.best, self.step = point.value, point.step
        if self._bar is None or self._sign * (point.value - self._bar) > self._order.min_delta:
            self._bar, self.stale = point.value, 0
        else:
            self.stale += 1
