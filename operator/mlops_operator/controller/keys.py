"""What is reconciled: a resource by kind, namespace and name."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, NamedTuple

Kind = Literal["TrainingRun", "TrainingDataset", "ModelVersion"]


class Key(NamedTuple):
    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Priority(IntEnum):
    """What is done first: a user waits for the first, nobody for the last."""

    FRESH = 0  # new, or changed by a user
    NORMAL = 1  # under way
    RESYNC = 2  # ended: looked at again after a restart
