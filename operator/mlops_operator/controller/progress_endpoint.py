"""Where agents push their progress: POST /v1/progress with the pod's own token.

A pod speaks for its own run alone: the token names the pod (TokenReview), the pod is one of those that the operator
knows, and its owner is the run that the report names.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from mlops_operator.api.base import PROGRESS_AUDIENCE
from mlops_operator.api.wire import ProgressReport
from mlops_operator.controller.keys import Key
from mlops_operator.controller.kube import TokenIdentity
from mlops_operator.controller.progress import ProgressBoard
from mlops_operator.controller.transport import KubeError

log = logging.getLogger(__name__)

BODY_BYTES: Final = 256 * 1024
REVIEW_SECONDS: Final = 60.0
BURST: Final = 20.0
PER_SECOND: Final = 2.0
_PODS: Final = 10_000

Review = Callable[[str, str], Awaitable[TokenIdentity | None]]


class RefusedError(Exception):
    """A report that is not taken; ``status`` is the answer's code, the text its sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class TokenCache:
    """Asks the API server once a minute whose token it is. Tokens are kept as hashes alone."""

    def __init__(self, review: Review, clock: Callable[[], float] = time.monotonic) -> None:
        self._review = review
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, TokenIdentity | None]] = OrderedDict()

    async def identity(self, token: str) -> TokenIdentity | None:
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._clock() < known[0]:
            return known[1]
        identity = await self._review(token, PROGRESS_AUDIENCE)
        self._known[digest] = (self._clock() + REVIEW_SECONDS, identity)
        self._known.move_to_end(digest)
        while len(self._known) > _PODS:
            self._known.popitem(last=False)
        return identity


@dataclass
class _Tokens:
    left: float
    at: float


class RateLimit:
    """A bucket of tokens for each pod: a few at once, then a steady rate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pods: OrderedDict[str, _Tokens] = OrderedDict()

    def allows(self, pod: str) -> bool:
        now = self._clock()
        tokens = self._pods.setdefault(pod, _Tokens(BURST, now))
        self._pods.move_to_end(pod)
        while len(self._pods) > _PODS:
            self._pods.popitem(last=False)
        tokens.left = min(BURST, tokens.left + (now - tokens.at) * PER_SECOND)
        tokens.at = now
        if tokens.left < 1:
            return False
        tokens.left -= 1
        return True


class ProgressEndpoint:
    """The handler.

    Parameters
    ----------
    leading
        Whether this process leads; another one answers 503, so that the agent asks again.
    owner_of_pod
        Gives the key and uid of the resource whose pod has this uid (see ``store.Store``).
    """

    def __init__(
        self,
        tokens: TokenCache,
        limit: RateLimit,
        board: ProgressBoard,
        *,
        leading: Callable[[], bool],
        owner_of_pod: Callable[[str], tuple[Key, str] | None],
        wake: Callable[[Key], None],
        count: Callable[[int], None],
    ) -> None:
        self._tokens = tokens
        self._limit = limit
        self._board = board
        self._leading = leading
        self._owner_of_pod = owner_of_pod
        self._wake = wake
        self._count = count

    def application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_BYTES)
        application.router.add_post("/v1/progress", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.Response:
        """Answer 204, or a refusal with a sentence."""
        try:
            key = await self._take(request)
        except RefusedError as refusal:
            log.info("a progress report was refused: %s", refusal)
            self._count(refusal.status)
            return web.Response(status=refusal.status, text=f"{refusal}\n")
        self._count(HTTPStatus.NO_CONTENT)
        if key is not None:
            self._wake(key)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _take(self, request: web.Request) -> Key | None:
        if not self._leading():
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "this replica does not lead; try again")
        pod_uid, namespace = await self._authenticate(request)
        if not self._limit.allows(pod_uid):
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too many reports of this pod; send fewer")
        report = await self._read(request)
        if report.run.namespace != namespace:
            raise RefusedError(HTTPStatus.FORBIDDEN, "the report is about a run of another namespace")
        owner = self._owner_of_pod(pod_uid)
        if owner is None:
            # The kubelet may be faster than our watch.
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "the pod is not known yet; try again")
        key, owner_uid = owner
        if key != ("TrainingRun", namespace, report.run.name) or owner_uid != report.run.uid:
            raise RefusedError(HTTPStatus.FORBIDDEN, "the report is about another run than the pod's")
        if report.pod_uid != pod_uid:
            raise RefusedError(HTTPStatus.FORBIDDEN, "the report is about another pod than the token's")
        return key if self._board.take(report) else None

    async def _authenticate(self, request: web.Request) -> tuple[str, str]:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "send the pod's token: Authorization: Bearer …")
        try:
            identity = await self._tokens.identity(token)
        except KubeError as error:
            log.warning("a token was not reviewed: %s", error)
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "the token cannot be checked now; try again"
            ) from error
        if identity is None:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "the token is not valid here")
        if identity.pod_uid is None:
            raise RefusedError(HTTPStatus.FORBIDDEN, "the token is bound to no pod")
        return identity.pod_uid, identity.namespace

    @staticmethod
    async def _read(request: web.Request) -> ProgressReport:
        try:
            return ProgressReport.model_validate_json(await request.read())
        except web.HTTPRequestEntityTooLarge as error:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a report has at most {BODY_BYTES} bytes"
            ) from error
        except ValidationError as error:
            fields = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"not a progress report: {fields}") from error
