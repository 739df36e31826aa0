"""Asks the API server whether it would take the pod of a Job, and what it says if not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from mlops_operator.controller.kube import JOBS, PODS, Resource
from mlops_operator.controller.transport import Forbidden, Invalid, Object, Unavailable
from mlops_operator.domain.effects import PodTried, TryPod

# Of many Jobs that wait, so few are asked for at a time: the answer is never urgent.
AT_ONCE: Final = 2


class Trials(Protocol):
    """The calls of ``kube.Kube`` that are needed here."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...
    async def try_create(self, resource: Resource, namespace: str, body: Object) -> None: ...


class PodTrial:
    """Does the effect TryPod: a POST of the Job's pod with ``dryRun=All``, through quota and all admission."""

    def __init__(self, kube: Trials, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._kube = kube
        self._now = now
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self, effect: TryPod) -> PodTried:
        """Ask.

        Raises
        ------
        KubeError
            The Job is gone, or the server did not answer.
        """
        async with self._slots:
            job = await self._kube.get(JOBS, effect.namespace, effect.job)
            try:
                await self._kube.try_create(PODS, effect.namespace, pod_of(job))
            except (Forbidden, Invalid) as error:
                return PodTried(self._now(), error.said)
            except Unavailable as error:
                if "webhook" not in error.said:
                    raise
                return PodTried(self._now(), error.said)  # a webhook that does not answer stops all pods
            return PodTried(self._now(), None)


def pod_of(job: Object) -> Object:
    """Build the pod as Kubernetes makes it of a Job: its template has all labels already."""
    metadata, template = job["metadata"], job["spec"]["template"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    named = {
        key: value for key, value in (template.get("metadata") or {}).items() if key != "creationTimestamp"
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **named,
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": template["spec"],
    }
