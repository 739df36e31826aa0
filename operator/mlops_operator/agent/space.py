"""Whether the datasets of a run fit where they go: told before the first byte is downloaded."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence

from mlops_operator.agent.datasets import read_manifest
from mlops_operator.agent.globs import matcher
from mlops_operator.agent.places import Places
from mlops_operator.api.wire import DATASETS_DIR, StagedDataset
from mlops_operator.errors import DiskLimitExceeded
from mlops_operator.storage.client import Bucket


def check_space(
    datasets: Sequence[StagedDataset], limit_bytes: int | None, workspace: Bucket, places: Places
) -> None:
    """Compare the size of all datasets with the room for them.

    Parameters
    ----------
    limit_bytes
        What the pod may write at most; None: as much as the node has.

    Raises
    ------
    DiskLimitExceeded
        They are larger than what the run allows its pod to write.
    OSError
        They are larger than what is free on the node (ENOSPC).
    """
    sizes = {dataset.name: _size(dataset, workspace) for dataset in datasets}
    total = sum(sizes.values())
    each = ", ".join(f"{name}: {size}" for name, size in sizes.items())
    if limit_bytes is not None and total > limit_bytes:
        raise DiskLimitExceeded(
            f"The datasets hold {total} bytes ({each}), and the pod may write {limit_bytes} bytes"
            " (spec.resources.limits.ephemeral-storage). Raise that limit, or download less (datasets[].include)."
        )
    folder = places.path(DATASETS_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise OSError(
            errno.ENOSPC,
            "No space left on device",
            f"the datasets hold {total} bytes ({each}), {free} are free",
        )


def _size(dataset: StagedDataset, workspace: Bucket) -> int:
    fits = matcher(dataset.include)
    return sum(file.size_bytes for file in read_manifest(dataset, workspace).files if fits(file.path))
