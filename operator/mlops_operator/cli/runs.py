"""Runs, wherever they are: in the cluster, in the history, or in both."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlops_operator.api.history import RunEntry, entry_of
from mlops_operator.cli.cluster import Cluster
from mlops_operator.cli.errors import CliError, ClusterError
from mlops_operator.errors import MlopsError
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.history import read_run
from mlops_operator.storage.run_index import read_index


@dataclass(frozen=True)
class Found:
    """A run. ``live`` is the resource, where there is one."""

    entry: RunEntry
    live: dict[str, Any] | None = None


@dataclass
class Place:
    """A workspace: its cluster, unless only the bucket is there, and how its bucket is opened.

    Parameters
    ----------
    warn
        Told what could not be read, where the rest is of use.
    """

    cluster: Cluster | None
    open: Callable[[], Bucket]
    warn: Callable[[str], None] = lambda _: None

    @cached_property
    def bucket(self) -> Bucket:
        return self.open()

    def need_cluster(self, what: str) -> Cluster:
        if self.cluster is None:
            raise CliError(f"to {what} a run takes a cluster: leave --bucket out")
        return self.cluster

    def all(self) -> list[Found]:
        """Give every run, the newest first. A history that cannot be read is said, and left out."""
        found = {run["metadata"]["uid"]: Found(entry_of(run), run) for run in self._live()}
        for entry in self._recorded():
            found.setdefault(entry.uid, Found(entry))
        return sorted(found.values(), key=_age)

    def one(self, name: str) -> Found:
        """Give a run by its name, or by ``<name>-<first 8 of uid>`` as in the bucket; of several the newest.

        Raises
        ------
        CliError
            There is none.
        """
        if self.cluster is not None and (live := self.cluster.run(name)) is not None:
            return Found(entry_of(live), live)
        found = sorted((Found(entry) for entry in self._recorded()), key=_age)
        for run in found:
            if name in (run.entry.name, f"{run.entry.name}-{run.entry.uid[:8]}", run.entry.uid):
                return run
        near = difflib.get_close_matches(name, [run.entry.name for run in found], n=1)
        hint = f"; did you mean {near[0]}?" if near else "; `kubectl mlops list --all` shows what there is"
        raise CliError(f"there is no run {name}{hint}")

    def whole(self, found: Found) -> dict[str, Any]:
        """Give the run's object, from the bucket if it is gone from the cluster."""
        return found.live if found.live is not None else read_run(self.bucket, found.entry)

    def _live(self) -> list[dict[str, Any]]:
        return self.cluster.runs() if self.cluster is not None else []

    def _recorded(self) -> list[RunEntry]:
        if self.cluster is None:
            return read_index(self.bucket)
        try:
            return read_index(self.bucket)
        except ClusterError as error:
            self.warn(f"runs that are only in the bucket are not shown: {error}")
        except MlopsError as error:
            self.warn(
                f"runs that are only in the bucket are not shown: {error}; if the bucket has another address here,"
                " give it with --endpoint"
            )
        return []


def _age(run: Found) -> tuple[float, str]:
    at = run.entry.created_at or run.entry.completion_time
    return (-at.timestamp() if at is not None else 0.0, run.entry.name)
