"""The progress endpoint: a pod speaks for its own run alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from mlops_operator.controller.keys import Key
from mlops_operator.controller.kube import TokenIdentity, _identity
from mlops_operator.controller.progress import ProgressBoard
from mlops_operator.controller.progress_endpoint import (
    BODY_BYTES,
    BURST,
    REVIEW_SECONDS,
    ProgressEndpoint,
    RateLimit,
    TokenCache,
)
from mlops_operator.controller.transport import Unavailable

pytestmark = pytest.mark.enable_socket

WINE = Key("TrainingRun", "ws-a", "wine")
GOOD = TokenIdentity("ws-a", "default", "wine-1-abc", "uid-pod")


class Endpoint:
    """The endpoint with its surroundings: what tokens mean, which pods are known, the time."""

    def __init__(self) -> None:
        self.tokens: dict[str, TokenIdentity | None] = {"good": GOOD}
        self.pods: dict[str, tuple[Key, str]] = {"uid-pod": (WINE, "uid-wine")}
        self.leading = True
        self.away = False
        self.reviews = 0
        self.now = 0.0
        self.woken: list[Key] = []
        self.statuses: list[int] = []
        self.board = ProgressBoard()
        self.endpoint = ProgressEndpoint(
            TokenCache(self.review, lambda: self.now),
            RateLimit(lambda: self.now),
            self.board,
            leading=lambda: self.leading,
            owner_of_pod=self.pods.get,
            wake=self.woken.append,
            count=self.statuses.append,
        )
        self.client: TestClient[Any, Any]

    async def review(self, token: str, audience: str) -> TokenIdentity | None:
        self.reviews += 1
        assert audience == "mlops-operator"
        if self.away:
            raise Unavailable("no answer")
        return self.tokens.get(token)

    async def post(self, body: Any = None, token: str = "good", **changes: Any) -> tuple[int, str]:
        data = body if body is not None else json.dumps(report(**changes))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.client.post("/v1/progress", data=data, headers=headers) as response:
            return response.status, await response.text()


def report(**changes: Any) -> dict[str, Any]:
    run = {"name": "wine", "namespace": "ws-a", "uid": "uid-wine", "attempt": 1}
    run |= {key: changes.pop(key) for key in list(changes) if key in run}
    return {"run": run, "podUid": "uid-pod", "sequence": 1, "phase": "Running"} | changes


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    async with TestClient(TestServer(made.endpoint.application())) as client:
        made.client = client
        yield made


async def test_a_report_is_kept_and_wakes_its_run(endpoint: Endpoint) -> None:
    assert (await endpoint.post(step=3))[0] == 204
    kept = endpoint.board.of("uid-wine")
    assert kept is not None
    assert kept.step == 3
    assert endpoint.woken == [WINE]
    assert endpoint.statuses == [204]


async def test_an_older_report_never_replaces_a_newer_one(endpoint: Endpoint) -> None:
    await endpoint.post(sequence=5, step=50)
    assert (await endpoint.post(sequence=4, step=40))[0] == 204
    kept = endpoint.board.of("uid-wine")
    assert kept is not None
    assert kept.step == 50
    assert endpoint.woken == [WINE]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"namespace": "ws-b"}, 403),
        ({"uid": "uid-other"}, 403),
        ({"name": "other"}, 403),
        ({"podUid": "uid-other"}, 403),
        ({"phase": "Dancing"}, 422),
        ({"sequence": "x"}, 422),
    ],
)
async def test_a_report_about_anything_else_is_refused(
    endpoint: Endpoint, changes: dict[str, Any], status: int
) -> None:
    assert (await endpoint.post(**changes))[0] == status
    assert endpoint.board.of("uid-wine") is None
    assert endpoint.board.of("uid-other") is None


async def test_tokens_that_do_not_count(endpoint: Endpoint) -> None:
    endpoint.tokens["podless"] = TokenIdentity("ws-a", "default", None, None)
    endpoint.tokens["foreign"] = TokenIdentity("ws-b", "default", "wine-1-abc", "uid-pod")
    assert (await endpoint.post(token=""))[0] == 401
    assert (await endpoint.post(token="unknown"))[0] == 401
    assert (await endpoint.post(token="podless"))[0] == 403
    assert (await endpoint.post(token="foreign"))[0] == 403


async def test_what_passes_is_to_be_tried_again(endpoint: Endpoint) -> None:
    endpoint.leading = False
    assert (await endpoint.post())[0] == 503
    endpoint.leading, endpoint.away = True, True
    assert (await endpoint.post())[0] == 503
    endpoint.away = False
    pods = dict(endpoint.pods)
    endpoint.pods.clear()
    assert (await endpoint.post())[0] == 503
    endpoint.pods.update(pods)
    assert (await endpoint.post())[0] == 204


async def test_a_token_is_reviewed_once_a_minute(endpoint: Endpoint) -> None:
    for sequence in range(3):
        await endpoint.post(sequence=sequence)
    assert endpoint.reviews == 1
    endpoint.now = REVIEW_SECONDS
    endpoint.tokens["good"] = None
    assert (await endpoint.post())[0] == 401
    assert endpoint.reviews == 2


async def test_a_pod_that_talks_too_much_is_slowed_down(endpoint: Endpoint) -> None:
    answers = [(await endpoint.post(sequence=n))[0] for n in range(int(BURST) + 1)]
    assert answers == [204] * int(BURST) + [429]
    endpoint.now = 1.0
    assert (await endpoint.post(sequence=100))[0] == 204


async def test_a_body_is_bounded(endpoint: Endpoint) -> None:
    assert (await endpoint.post(body="x" * (BODY_BYTES + 1)))[0] == 413


def test_only_an_authenticated_service_account_of_our_audience_is_somebody() -> None:
    user = {
        "username": "system:serviceaccount:ws-a:default",
        "extra": {"authentication.kubernetes.io/pod-uid": ["uid-pod"]},
    }
    status = {"authenticated": True, "audiences": ["mlops-operator"], "user": user}
    assert _identity(status, "mlops-operator") == TokenIdentity("ws-a", "default", None, "uid-pod")
    assert _identity(status | {"authenticated": False}, "mlops-operator") is None
    assert _identity(status | {"audiences": ["https://kubernetes"]}, "mlops-operator") is None
    assert _identity(status | {"user": {"username": "admin"}}, "mlops-operator") is None
