"""What is followed of a run: what its spec names, and what is followed always."""

from __future__ import annotations

import glob
from typing import Protocol

from mlops_operator.agent.follow.json_lines import JsonLinesFollower
from mlops_operator.agent.follow.tensorboard import TensorBoardFollower
from mlops_operator.agent.places import Places
from mlops_operator.agent.tracking import Tracking
from mlops_operator.api.wire import METRICS_FILE, STDOUT_METRICS_FILE, TENSORBOARD_DIR, SidecarOrder


class Follower(Protocol):
    """Reads a source of metrics as it grows."""

    def poll(self, *, final: bool = False) -> None:
        """Take in what was appended; ``final``: the training has ended."""


def make_followers(order: SidecarOrder, places: Places, tracking: Tracking) -> list[Follower]:
    """Give the followers of a run's sources."""
    working = places.path(order.working_dir)
    files = {"$MLOPS_METRICS_FILE": places.path(METRICS_FILE)}
    folders = [glob.escape(str(places.path(TENSORBOARD_DIR)))]
    for source in order.metric_sources:
        if source.type == "Stdout":
            files["the command's output"] = places.path(STDOUT_METRICS_FILE)
        elif source.type == "TensorBoard" and source.path:
            folders.append(f"{glob.escape(str(working))}/{source.path}")
        elif source.path and working / source.path not in files.values():
            files[source.path] = working / source.path
    return [
        *(JsonLinesFollower(name, path, tracking) for name, path in files.items()),
        TensorBoardFollower(folders, tracking),
    ]
