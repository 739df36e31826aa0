"""HTTP to the API server: JSON in, JSON out, and its refusals as exceptions.

The client library supplies configuration, TLS, token renewal and connections (``kubernetes.aio``); its model classes
are left out, since building them costs more than everything else that a reconcile does.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from pydantic_core import from_json

from mlops_operator.errors import MlopsError, SettingsError

Object = dict[str, Any]

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
# Answers without spec and status: a write needs only the new resourceVersion, a prune only uids.
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class KubeError(MlopsError):
    """The API server did not do what was asked.

    Attributes
    ----------
    status
        Its HTTP code, 0 where it did not answer.
    said
        Its own words, without what was asked of it.
    """

    def __init__(
        self, message: str, *, status: int = 0, retry_after_seconds: float | None = None, said: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.said = said or message
        self.retry_after_seconds = retry_after_seconds


class NotFound(KubeError):  # noqa: N818 - named like the API server's own reasons
    """There is no such object (404)."""


class Conflict(KubeError):  # noqa: N818
    """The object changed since it was read, or its uid is not the expected one (409)."""


class AlreadyExists(KubeError):  # noqa: N818
    """An object of that name is there (409)."""


class Forbidden(KubeError):  # noqa: N818
    """The operator may not do this (401, 403), or a quota or policy refuses it."""


class Invalid(KubeError):  # noqa: N818
    """The object is wrong (400, 422): asking again does not help."""


class Gone(KubeError):  # noqa: N818
    """The resourceVersion is too old: list again (410)."""


class Unavailable(KubeError):  # noqa: N818
    """The server did not answer, or asked to come again (429, 5xx, timeouts)."""


class Transport(Protocol):
    """What kube.py needs of a connection; the fake of the unit tests is another."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout_seconds: float = 30.0,
    ) -> Object: ...

    def stream(
        self, path: str, query: Mapping[str, str], *, silence_seconds: float
    ) -> AsyncIterator[Object]: ...


_BY_CODE: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: Unavailable,
}


def error_of(status: int, body: str, what: str, retry_after: str | None = None) -> KubeError:
    """Make the exception of a refusal; its message names the request and carries the server's own words."""
    message, reason = body.strip()[:500], ""
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict):
        message, reason = str(parsed.get("message", message)), str(parsed.get("reason", ""))
    kind = _BY_CODE.get(status, Unavailable if status >= 500 else KubeError)  # noqa: PLR2004 - HTTP
    if reason == "AlreadyExists":
        kind = AlreadyExists
    elif reason in {"Expired", "Gone"}:
        kind = Gone
    seconds = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
    return kind(
        f"{what}: {status} {reason or message}: {message}",
        status=status,
        retry_after_seconds=seconds,
        said=message,
    )


async def load_configuration(kubeconfig: Path | None) -> Configuration:
    """Find the API server: the file where one is given, else the pod's service account.

    Raises
    ------
    SettingsError
        Neither is usable.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = 64
    # Else aiohttp looks for proxies and for a .netrc at every request, in a thread: a fifth of the time of a burst.
    configuration.client_session_kwargs = {"trust_env": False}
    try:
        if kubeconfig is not None:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig), client_configuration=configuration, persist_config=False
            )
        else:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        where = kubeconfig or "the service account of this pod"
        raise SettingsError(
            f"cannot reach a cluster with {where}: {error}; outside of a cluster give --kubeconfig"
        ) from error
    return configuration


class HttpTransport:
    """Requests with the credentials of a configuration. Use it as an asynchronous context manager."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._rest = RESTClientObject(configuration)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._rest.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout_seconds: float = 30.0,
    ) -> Object:
        """Do one request.

        Raises
        ------
        KubeError
            The subclass says what the answer was.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        async with self._open(method, path, query, body, content_type, accept, timeout) as response:
            return _decode(await response.read())

    async def stream(
        self, path: str, query: Mapping[str, str], *, silence_seconds: float, accept: str = JSON
    ) -> AsyncIterator[Object]:
        """Yield the events of a watch until the server ends it.

        Raises
        ------
        KubeError
            The watch was refused, broke, or was silent for longer than ``silence_seconds``.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence_seconds)
        async with self._open("GET", path, query, None, JSON, accept, timeout) as response:
            async for line in response.content:
                yield _decode(line)

    @asynccontextmanager
    async def _open(  # noqa: PLR0917 - private, and always called with all of them
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: object,
        content_type: str,
        accept: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        what = f"{method} {path}"
        url = f"{self._configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "mlops-operator"}
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            headers["Authorization"] = token
        try:
            answer = await self._rest.request(  # type: ignore[no-untyped-call]
                method, url, headers=headers, body=body, _request_timeout=timeout
            )
            response: aiohttp.ClientResponse = answer.response
            try:
                if response.status >= 400:  # noqa: PLR2004 - HTTP
                    text = await response.text()
                    raise error_of(response.status, text, what, response.headers.get("Retry-After"))
                yield response
            finally:
                # A watch that is left in the middle must not go back to the pool.
                response.close() if not response.content.at_eof() else response.release()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable(
                f"{what}: the API server did not answer: {type(error).__name__} {error}"
            ) from error


def _decode(data: bytes) -> Object:
    # Half the time of the standard library's, which is most of what a watch costs.
    content: Object = from_json(data) if data else {}
    return content
