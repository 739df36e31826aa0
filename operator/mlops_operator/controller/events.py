"""Kubernetes events: a sentence for the user beside the resource, not said twice in a row."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from mlops_operator.api.base import API_VERSION, FIELD_MANAGER
from mlops_operator.controller.kube import Kube
from mlops_operator.controller.store import Parent
from mlops_operator.controller.transport import KubeError
from mlops_operator.domain.plan import Event

log = logging.getLogger(__name__)

REPEAT_SECONDS: Final = 600.0
_REMEMBERED: Final = 4096
_NOTE_BYTES: Final = 1024


class EventRecorder:
    """Posts events; the same one of the same resource at most once in ten minutes."""

    def __init__(self, kube: Kube, identity: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._identity = identity
        self._clock = clock
        self._said: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    async def record(self, parent: Parent, event: Event) -> None:
        """Post an event. A refusal is logged: an event is never worth failing for."""
        ident = (parent.uid, event.reason, event.message)
        now = self._clock()
        said = self._said.get(ident)
        if said is not None and now - said < REPEAT_SECONDS:
            return
        self._said[ident] = now
        self._said.move_to_end(ident)
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        try:
            await self._kube.create_event(parent.key.namespace, self._body(parent, event))
        except KubeError as error:
            log.warning("the event %s was not recorded: %s", event.reason, error)

    def _body(self, parent: Parent, event: Event) -> dict[str, object]:
        kind, namespace, name = parent.key
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name[:50].rstrip('-.')}-", "namespace": namespace},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": event.type,
            "reason": event.reason,
            "action": "Reconcile",
            "note": event.message.encode()[:_NOTE_BYTES].decode(errors="ignore"),
            "reportingController": f"{FIELD_MANAGER}.eoepca.org/controller",
            "reportingInstance": self._identity[:128],
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": kind,
                "namespace": namespace,
                "name": name,
                "uid": parent.uid,
            },
        }
