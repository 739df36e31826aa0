"""What the operator knows of the cluster, kept small.

Resources are kept as compact JSON without managedFields (a tenth of the memory of parsed objects) beside the few
fields that are asked for often; Jobs and pods as views. A newer resourceVersion wins, whether it came by a watch or
from a write of our own. Deleted Jobs and pods stay as tombstones until their owner has no more use for them.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic_core import from_json, to_json

from mlops_operator.api.base import LABEL_OWNER_KIND, LABEL_OWNER_NAME, LABEL_OWNER_UID
from mlops_operator.api.trainingrun import ENDED
from mlops_operator.controller.keys import Key, Kind, Priority
from mlops_operator.controller.kube import NAMESPACES, PARENTS
from mlops_operator.controller.lines import Lines
from mlops_operator.controller.views import job_view, pod_view
from mlops_operator.domain.observed import JobView, PodView

Object = dict[str, Any]
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_DONE = ENDED | {"Ready"}


@dataclass(frozen=True, slots=True)
class Parent:
    """A resource of ours. ``body`` is its JSON."""

    key: Key
    uid: str
    resource_version: str
    body: bytes
    priority: Priority
    phase: str
    reason: str
    datasets: tuple[str, ...]  # that a run trains on
    run: str | None  # that a model version comes from
    ended_at: str = ""  # of a run, RFC 3339 in UTC: sorts as text


@dataclass(frozen=True, slots=True)
class Child:
    """A Job or pod of a resource; ``owner`` is the key that is woken for it."""

    owner: Key
    owner_uid: str
    resource_version: str
    view: JobView | PodView


ChildId = tuple[str, str, str]  # kind, namespace, name


def is_newer(version: str, than: str) -> bool:
    """Compare resourceVersions: they are numbers that rise (KEP-5504); others count as newer if they differ."""
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than


class Store:
    """All resources, Jobs and pods, with the indices that observing needs.

    Parameters
    ----------
    lines
        Who stands in line; where zones are configured.
    """

    def __init__(self, lines: Lines | None = None) -> None:
        self._lines = lines
        self._parents: dict[Key, Parent] = {}
        self._children: dict[ChildId, Child] = {}
        self._tombstones: dict[tuple[str, str], dict[str, JobView | PodView]] = {}
        self._by_owner: dict[tuple[str, str], set[ChildId]] = {}
        self._pod_owner: dict[str, tuple[Key, str]] = {}
        self._foreign: dict[tuple[str, str], JobView] = {}
        self._runs_by_dataset: dict[tuple[str, str], set[Key]] = {}
        self._models_by_run: dict[tuple[str, str], set[Key]] = {}
        self._ended: dict[tuple[str, str], list[tuple[str, Key]]] = {}  # by namespace and phase; oldest first

    # --- reading ---------------------------------------------------------------------------------------------

    def parent(self, key: Key) -> Parent | None:
        return self._parents.get(key)

    def parents(self) -> Iterable[Parent]:
        return self._parents.values()

    def priority(self, key: Key) -> Priority:
        parent = self._parents.get(key)
        return parent.priority if parent else Priority.NORMAL

    def jobs(self, namespace: str, owner_uid: str) -> dict[str, JobView]:
        """Give the Jobs of an owner by name; one that is gone only where no other has its name."""
        views = self._views(namespace, owner_uid)
        found = [view for view in views if isinstance(view, JobView)]
        return {view.name: view for view in sorted(found, key=lambda view: not view.gone)}

    def pods(self, namespace: str, owner_uid: str) -> tuple[PodView, ...]:
        """Give the pods of an owner, newest first."""
        views = self._views(namespace, owner_uid)
        found = [view for view in views if isinstance(view, PodView)]
        return tuple(
            sorted(found, key=lambda pod: (pod.created_at is not None, pod.created_at), reverse=True)
        )

    def foreign_job(self, namespace: str, name: str) -> JobView | None:
        """Give a Job that has the name of one of ours and is not ours, as it was found when we made ours."""
        return self._foreign.get((namespace, name))

    def models_of(self, namespace: str, run: str) -> list[Parent]:
        keys = self._models_by_run.get((namespace, run), ())
        return [self._parents[key] for key in sorted(keys)]

    def newer_ended(self, run: Parent) -> int:
        """Count the runs of the namespace that ended in the same way as this one, and later."""
        ended = self._ended.get((run.key.namespace, run.phase), [])
        return len(ended) - bisect_right(ended, (run.ended_at, run.key)) if run.ended_at else 0

    def owner_of_pod(self, pod_uid: str) -> tuple[Key, str] | None:
        """Give the key and uid of the resource whose Job made this pod."""
        return self._pod_owner.get(pod_uid)

    def counts(self) -> Counter[tuple[str, str, str]]:
        """Count resources by kind, phase and, where they ended badly, reason."""
        return Counter(
            (parent.key.kind, parent.phase or "New", parent.reason if parent.phase == "Failed" else "")
            for parent in self._parents.values()
        )

    def known(self, kind: str) -> dict[tuple[str, str], str]:
        """Give the uids of all objects of a kind by namespace and name; for pruning."""
        if kind == NAMESPACES.kind:
            return self._lines.known_namespaces() if self._lines is not None else {}
        if kind in PARENTS:
            return {(k.namespace, k.name): p.uid for k, p in self._parents.items() if k.kind == kind}
        return {
            (namespace, name): child.view.uid
            for (of, namespace, name), child in self._children.items()
            if of == kind
        }

    # --- what watches say ------------------------------------------------------------------------------------

    def put(self, kind: str, obj: Object) -> list[Key]:
        """Take in an object as it is now; gives the keys that it concerns, none if it was known already."""
        if kind == NAMESPACES.kind:
            return self._lines.put_namespace(obj) if self._lines is not None else []
        if kind in PARENTS:
            return self._put_parent(cast("Kind", kind), obj)
        return self._put_child(kind, obj)

    def remove(self, kind: str, namespace: str, name: str, uid: str, last: Object | None = None) -> list[Key]:
        """Take in that an object is deleted, with its last state where the watch told it."""
        if kind == NAMESPACES.kind:
            if self._lines is not None:
                self._lines.remove_namespace(name, uid)
            return []
        if kind in PARENTS:
            return self._remove_parent(Key(cast("Kind", kind), namespace, name), uid)
        return self._remove_child((kind, namespace, name), uid, last)

    # --- our own writes --------------------------------------------------------------------------------------

    def status_written(self, parent: Parent, resource_version: str, status: Object) -> list[Key]:
        """Take in a status that was written, and give the keys that it concerns: the watch's echo wakes nobody."""
        obj = from_json(parent.body)
        obj["metadata"]["resourceVersion"] = resource_version
        obj["status"] = status
        known = self._parents.get(parent.key)
        if known is not None and known.uid == parent.uid:
            return self._put_parent(parent.key.kind, obj)
        return []

    def job_created(self, metadata: Object) -> None:
        """Take in a Job that was made; an echo of one that is already deleted is dropped."""
        namespace = metadata["namespace"]
        owner_uid = (metadata.get("labels") or {}).get(LABEL_OWNER_UID, "")
        if metadata["uid"] not in self._tombstones.get((namespace, owner_uid), {}):
            self._put_child("Job", {"metadata": metadata})
        self._foreign.pop((namespace, metadata["name"]), None)

    def foreign_found(self, namespace: str, view: JobView) -> None:
        self._foreign[namespace, view.name] = view

    def foreign_gone(self, namespace: str, name: str) -> None:
        self._foreign.pop((namespace, name), None)

    def forget_tombstones(self, namespace: str, owner_uid: str) -> None:
        """Drop what is known of deleted children: their owner has recorded what it needs."""
        for uid in self._tombstones.pop((namespace, owner_uid), {}):
            self._pod_owner.pop(uid, None)

    # --- parents ---------------------------------------------------------------------------------------------

    def _put_parent(self, kind: Kind, obj: Object) -> list[Key]:
        parent = slim_parent(kind, obj)
        known = self._parents.get(parent.key)
        if known is not None and known.uid == parent.uid:
            if not is_newer(parent.resource_version, known.resource_version):
                return []
        elif known is not None:
            self._remove_parent(parent.key, known.uid)
        self._unindex(known)
        self._parents[parent.key] = parent
        self._index(parent)
        has_ended = bool(parent.ended_at) and (known is None or known.ended_at != parent.ended_at)
        turns = self._lines.put(obj) if self._lines is not None and kind == "TrainingRun" else []
        oldest = self._oldest_ended(parent) if has_ended else ()
        return [parent.key, *self._concerned_by(parent), *oldest, *(k for k in turns if k != parent.key)]

    def _remove_parent(self, key: Key, uid: str) -> list[Key]:
        known = self._parents.get(key)
        if known is None or known.uid != uid:
            return []
        del self._parents[key]
        self._unindex(known)
        self.forget_tombstones(key.namespace, uid)
        turns = self._lines.remove(key) if self._lines is not None and key.kind == "TrainingRun" else []
        return [key, *self._concerned_by(known), *self._oldest_ended(known), *turns]

    def _index(self, parent: Parent) -> None:
        for index, ident in self._index_entries(parent):
            index.setdefault(ident, set()).add(parent.key)
        if parent.ended_at:
            insort(
                self._ended.setdefault((parent.key.namespace, parent.phase), []),
                (parent.ended_at, parent.key),
            )

    def _unindex(self, parent: Parent | None) -> None:
        if parent is None:
            return
        for index, ident in self._index_entries(parent):
            keys = index.get(ident, set())
            keys.discard(parent.key)
            if not keys:
                index.pop(ident, None)
        if parent.ended_at:
            ident = parent.key.namespace, parent.phase
            ended = self._ended[ident]
            del ended[bisect_right(ended, (parent.ended_at, parent.key)) - 1]
            if not ended:
                del self._ended[ident]

    def _index_entries(
        self, parent: Parent
    ) -> Iterator[tuple[dict[tuple[str, str], set[Key]], tuple[str, str]]]:
        for name in parent.datasets:
            yield self._runs_by_dataset, (parent.key.namespace, name)
        if parent.run is not None:
            yield self._models_by_run, (parent.key.namespace, parent.run)

    def _concerned_by(self, parent: Parent) -> list[Key]:
        """Give the keys of other resources whose plans read this one, as far as they have not ended."""
        namespace, name = parent.key.namespace, parent.key.name
        if parent.key.kind == "TrainingDataset":
            keys = self._runs_by_dataset.get((namespace, name), set())
        elif parent.key.kind == "TrainingRun":
            keys = self._models_by_run.get((namespace, name), set())
        else:
            keys = {Key("TrainingRun", namespace, parent.run)} if parent.run else set()
        return [key for key in sorted(keys) if key in self._parents and self._reads(self._parents[key])]

    def _oldest_ended(self, run: Parent) -> list[Key]:
        """Give the run that is the first to go where the platform keeps so many: one more has ended, or one is gone."""
        return [key for _, key in self._ended.get((run.key.namespace, run.phase), [])[:1] if key != run.key]

    @staticmethod
    def _reads(parent: Parent) -> bool:
        # A run that has succeeded still waits for its ModelVersion.
        return parent.phase not in {"Failed", "Cancelled", "Ready"}

    # --- children --------------------------------------------------------------------------------------------

    def _put_child(self, kind: str, obj: Object) -> list[Key]:
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        owner_kind, owner_name = labels.get(LABEL_OWNER_KIND), labels.get(LABEL_OWNER_NAME)
        owner_uid = labels.get(LABEL_OWNER_UID)
        if owner_kind not in PARENTS or not owner_name or not owner_uid:
            return []
        namespace = metadata["namespace"]
        ident = (kind, namespace, metadata["name"])
        version = metadata.get("resourceVersion", "")
        known = self._children.get(ident)
        if known is not None and known.view.uid == metadata["uid"]:
            if not is_newer(version, known.resource_version):
                return []
        elif known is not None:
            self._remove_child(ident, known.view.uid, None)
        owner = Key(cast("Kind", owner_kind), namespace, owner_name)
        view = job_view(obj) if kind == "Job" else pod_view(obj)
        if isinstance(view, JobView) and view.owner_uid is None:
            return []  # labelled like ours, and owned by nobody of ours
        self._children[ident] = Child(owner, owner_uid, version, view)
        self._by_owner.setdefault((namespace, owner_uid), set()).add(ident)
        if kind == "Pod":
            self._pod_owner[view.uid] = (owner, owner_uid)
        # Nothing that a decision reads has changed (a Job's counters, a pod's IP): nobody is woken.
        return [owner] if known is None or known.view != view else []

    def _remove_child(self, ident: ChildId, uid: str, last: Object | None) -> list[Key]:
        child = self._children.get(ident)
        if child is None or child.view.uid != uid:
            return []
        del self._children[ident]
        owned = self._by_owner.get((ident[1], child.owner_uid), set())
        owned.discard(ident)
        if not owned:
            self._by_owner.pop((ident[1], child.owner_uid), None)
        owner = self._parents.get(child.owner)
        if owner is None or owner.uid != child.owner_uid:
            self._pod_owner.pop(uid, None)
            return []
        view = child.view
        if last is not None:
            view = job_view(last) if ident[0] == "Job" else pod_view(last)
        self._tombstones.setdefault((ident[1], child.owner_uid), {})[uid] = replace(view, gone=True)
        return [child.owner]

    def _views(self, namespace: str, owner_uid: str) -> list[JobView | PodView]:
        living = [self._children[ident].view for ident in self._by_owner.get((namespace, owner_uid), ())]
        return living + list(self._tombstones.get((namespace, owner_uid), {}).values())


def slim_parent(kind: Kind, obj: Object) -> Parent:
    """Make the entry of a resource: without managedFields and kubectl's copy of the manifest."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    annotations = metadata.get("annotations") or {}
    if _LAST_APPLIED in annotations:
        metadata["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    body = {"kind": kind, "metadata": metadata, "spec": spec, "status": status}
    return Parent(
        key=Key(kind, metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        body=to_json(body),
        priority=_priority(kind, metadata, status),
        phase=status.get("phase", ""),
        reason=status.get("reason", ""),
        datasets=tuple(d["name"] for d in spec.get("datasets") or []) if kind == "TrainingRun" else (),
        run=_run_of(spec) if kind == "ModelVersion" else None,
        ended_at=status.get("completionTime", "") if kind == "TrainingRun" else "",
    )


def _run_of(spec: Mapping[str, Any]) -> str | None:
    return ((spec.get("source") or {}).get("trainingRun") or {}).get("name")


def _priority(kind: Kind, metadata: Mapping[str, Any], status: Mapping[str, Any]) -> Priority:
    if status.get("observedGeneration") != metadata.get("generation") or "deletionTimestamp" in metadata:
        return Priority.FRESH
    if status.get("phase") in _DONE:
        return Priority.RESYNC
    return Priority.FRESH if kind == "TrainingRun" and not status.get("attempts") else Priority.NORMAL
