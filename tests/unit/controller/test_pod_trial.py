"""What is asked of the API server about a Job without a pod."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_operator.controller.kube import Kube, Resource
from mlops_operator.controller.pod_trial import PodTrial, pod_of
from mlops_operator.controller.transport import Forbidden, Invalid, NotFound, Unavailable, error_of
from mlops_operator.domain.effects import PodTried, TryPod

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Object = dict[str, Any]
JOB: Object = {
    "metadata": {"name": "wine-1", "namespace": "ws-a", "uid": "job-1"},
    "spec": {
        "template": {
            "metadata": {
                "creationTimestamp": None,
                "labels": {"job-name": "wine-1"},
                "annotations": {"a": "b"},
            },
            "spec": {"containers": [{"name": "train"}]},
        }
    },
}


class Server:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.tried: list[Object] = []

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        assert (resource.kind, namespace, name) == ("Job", "ws-a", "wine-1")
        if isinstance(self.error, NotFound):
            raise self.error
        return JOB

    async def try_create(self, resource: Resource, namespace: str, body: Object) -> None:
        assert (resource.kind, namespace) == ("Pod", "ws-a")
        self.tried.append(body)
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (None, None),
        (Forbidden("POST …: 403", said="exceeded quota: q"), "exceeded quota: q"),
        (Invalid("POST …: 400", said="a webhook denied it"), "a webhook denied it"),
        (Unavailable("POST …: 500", said='failed calling webhook "x"'), 'failed calling webhook "x"'),
    ],
)
async def test_the_servers_own_words_come_back(error: Exception | None, refusal: str | None) -> None:
    server = Server(error)
    found = await PodTrial(server, now=lambda: NOW).run(TryPod("ws-a", "wine-1"))
    assert found == PodTried(NOW, refusal)
    assert server.tried == [pod_of(JOB)]


@pytest.mark.parametrize("error", [NotFound("no such Job"), Unavailable("no answer")])
async def test_no_answer_is_no_refusal(error: Exception) -> None:
    with pytest.raises(type(error)):
        await PodTrial(Server(error)).run(TryPod("ws-a", "wine-1"))


def test_the_pod_is_that_of_the_job() -> None:
    pod = pod_of(JOB)
    assert pod["spec"] == JOB["spec"]["template"]["spec"]
    assert pod["metadata"] == {
        "generateName": "wine-1-",
        "namespace": "ws-a",
        "labels": {"job-name": "wine-1"},
        "annotations": {"a": "b"},
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "wine-1", "uid": "job-1", "controller": True}
        ],
    }


async def test_nothing_is_made() -> None:
    class Connection:
        query: Object = {}

        async def request(self, method: str, path: str, **more: Any) -> Object:
            assert (method, path) == ("POST", "/api/v1/namespaces/ws-a/pods")
            self.query = more["query"]
            return {}

    connection = Connection()
    await Kube(connection).try_create(Resource("Pod", "api/v1", "pods"), "ws-a", {})  # type: ignore[arg-type]
    assert connection.query["dryRun"] == "All"


def test_a_refusals_own_words_are_kept_apart() -> None:
    error = error_of(403, '{"message": "pods is forbidden: no", "reason": "Forbidden"}', "POST /x")
    assert (error.said, str(error)) == (
        "pods is forbidden: no",
        "POST /x: 403 Forbidden: pods is forbidden: no",
    )
