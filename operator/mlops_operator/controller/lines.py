"""The lines of all namespaces: who runs, who waits, whose turn it is. Only where zones are configured.

What is written in the status of the runs alone counts, so that a restart changes nothing. Beside it are marked the runs
whose attempt is being written at this moment: until the store has seen that write, they hold a place, too. So no order
of events lets more runs in than the zone allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mlops_operator.controller.keys import Key
from mlops_operator.domain import line, zones
from mlops_operator.domain.line import Entry, Order, Stand
from mlops_operator.domain.observed import NamespaceView, Place
from mlops_operator.settings import Settings

Object = dict[str, Any]


class Lines:
    """Kept up to date by the store, asked by the observer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._namespaces: dict[str, tuple[str, NamespaceView]] = {}  # uid, and what counts
        self._entries: dict[str, dict[str, Entry]] = {}
        self._starting: set[Key] = set()

    # --- namespaces -------------------------------------------------------------------------------------------

    def put_namespace(self, obj: Object) -> list[Key]:
        """Take in a namespace; gives the runs that another zone concerns."""
        metadata = obj["metadata"]
        view = NamespaceView((metadata.get("labels") or {}).get(self._settings.zone_label) or None)
        before = self._namespaces.get(metadata["name"])
        self._namespaces[metadata["name"]] = (metadata["uid"], view)
        if before is not None and before[1] == view:
            return []
        entries = self._entries.get(metadata["name"], {})
        return [_key(metadata["name"], one.name) for one in entries.values() if one.stand is not Stand.RUNS]

    def remove_namespace(self, name: str, uid: str) -> None:
        if name in self._namespaces and self._namespaces[name][0] == uid:
            del self._namespaces[name]

    def known_namespaces(self) -> dict[tuple[str, str], str]:
        """Give the uids by (nothing, name); for pruning."""
        return {("", name): uid for name, (uid, _) in self._namespaces.items()}

    def namespace(self, name: str) -> NamespaceView | None:
        """Give what is known of a namespace; None: it was not seen yet."""
        found = self._namespaces.get(name)
        return found[1] if found is not None else None

    # --- runs -------------------------------------------------------------------------------------------------

    def put(self, obj: Object) -> list[Key]:
        """Take in a run as it is now; gives those whose turn has come by it."""
        metadata = obj["metadata"]
        key = _key(metadata["namespace"], metadata["name"])
        entry = line.entry(obj)
        entries = self._entries.setdefault(key.namespace, {})
        before = entries.get(key.name)
        started = key in self._starting
        self._starting.discard(key)
        if line.has_ended(obj.get("status") or {}):
            return self.remove(key)
        entries[key.name] = entry
        changed = before is not None and before != entry
        return self._turns(key.namespace) if changed or started else []

    def remove(self, key: Key) -> list[Key]:
        """Take in that a run has ended or is gone; gives those whose turn has come by it."""
        self._starting.discard(key)
        entries = self._entries.get(key.namespace, {})
        if entries.pop(key.name, None) is None:
            return []
        if not entries:
            self._entries.pop(key.namespace, None)
        return self._turns(key.namespace)

    def place(self, namespace: str, name: str) -> Place | None:
        """Give the place of a run that wants to start; None where it runs already, or nothing limits it."""
        order = self._order(namespace)
        mine = self._entries.get(namespace, {}).get(name)
        if order is None or mine is None or mine.stand is Stand.RUNS:
            return None
        return order.place(mine, (one for one in self._seen(namespace) if one.name != name))

    def starting(self, key: Key) -> None:
        """Note that a run's attempt is being written; it counts until the store takes in a newer state of the run."""
        if key.name in self._entries.get(key.namespace, {}):
            self._starting.add(key)

    # --- inside -----------------------------------------------------------------------------------------------

    def _order(self, namespace: str) -> Order | None:
        view = self.namespace(namespace)
        zone = zones.find(self._settings, view)
        name = zones.name_of(self._settings, view)
        return Order(name, zone, self._settings.profiles) if zone is not None and name is not None else None

    def _seen(self, namespace: str) -> Iterator[Entry]:
        """Give the runs of a namespace; those that are about to start as running."""
        for one in self._entries.get(namespace, {}).values():
            is_starting = self._starting and _key(namespace, one.name) in self._starting
            yield replace(one, stand=Stand.RUNS) if is_starting else one

    def _turns(self, namespace: str) -> list[Key]:
        order = self._order(namespace)
        names = order.next_ones(self._seen(namespace)) if order is not None else []
        return [_key(namespace, name) for name in names]


def _key(namespace: str, name: str) -> Key:
    return Key("TrainingRun", namespace, name)
