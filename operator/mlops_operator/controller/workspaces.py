"""The buckets of the workspaces: which Secret opens which, read again at every use."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urlsplit

from mlops_operator.api.wire import BucketHint
from mlops_operator.controller.effects import NotPermitted, SecretMissing
from mlops_operator.controller.transport import Forbidden, KubeError, NotFound
from mlops_operator.domain.environment import proxies
from mlops_operator.errors import CredentialsError, StorageUnavailable
from mlops_operator.settings import Settings
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.credentials import Credentials, from_secret

_PORTS: Final = {"http": 80, "https": 443}
_KEPT: Final = 32
_SECRET_SECONDS: Final = 30.0


class Secrets(Protocol):
    """The call of ``kube.Kube`` that reads a Secret."""

    async def secret(self, namespace: str, name: str) -> dict[str, str]: ...


def origin(url: str) -> tuple[str, str, int | None]:
    """Give scheme, host and port of an endpoint, so that two spellings of one compare equal."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme)


class Workspaces:
    """Reads Secrets and opens buckets; dials only endpoints that the platform allows."""

    def __init__(self, secrets: Secrets, settings: Settings, *, ca_bundle: str | None = None) -> None:
        self._secrets = secrets
        self._settings = settings
        self._ca_bundle = ca_bundle
        self._proxies = proxies(settings) or None
        allowed = [settings.s3.endpoint, *settings.s3.allowed_endpoints]
        self._allowed = {origin(endpoint) for endpoint in allowed if endpoint}
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def secret_name(self, namespace: str) -> str:
        return self._settings.workspace_secret.format(workspace=namespace)

    async def secret(self, namespace: str, name: str) -> Mapping[str, str]:
        """Read a Secret of a workspace.

        Raises
        ------
        SecretMissing
            There is none; the message says which command shows what is there.
        NotPermitted
            The namespace does not grant it to the operator; the message says which command does.
        """
        try:
            return await self._secrets.secret(namespace, name)
        except NotFound as error:
            raise SecretMissing(
                f"there is no Secret {name} in namespace {namespace}; see `kubectl -n {namespace} get secrets`"
            ) from error
        except Forbidden as error:
            raise NotPermitted(
                f"the operator may not read the Secret {name} in namespace {namespace}: the namespace is no workspace"
                f" yet. Grant it with `kubectl -n {namespace} apply -f manifests/components/workspace/role.yaml`"
            ) from error
        except KubeError as error:
            raise StorageUnavailable(f"the Secret {name} was not read: {error}") from error

    async def credentials(self, namespace: str, secret: str | None = None) -> Credentials:
        """Read what opens the workspace's bucket.

        Raises
        ------
        SecretMissing, NotPermitted, CredentialsError
            It is not there, not granted, names an endpoint that is not allowed, or is not usable.
        """
        name = secret or self.secret_name(namespace)
        data = await self.secret(namespace, name)
        s3 = self._settings.s3
        hint = BucketHint(
            endpoint=s3.endpoint or "",
            region=s3.region,
            bucket=self._settings.bucket.format(workspace=namespace),
            force_path_style=s3.force_path_style,
        )
        try:
            credentials = from_secret(data, hint)
        except CredentialsError as error:
            raise CredentialsError(f"Secret {name} in namespace {namespace}: {error}") from error
        if origin(credentials.endpoint) not in self._allowed:
            raise NotPermitted(
                f"the Secret {name} names the S3 endpoint {credentials.endpoint}, which the operator may not dial;"
                " the platform allows it in the operator's configuration (s3.allowedEndpoints)"
            )
        return credentials

    def bucket(self, namespace: str) -> Bucket:
        """Give the workspace's bucket, for use in threads; its Secret is read at the first request and on 403."""
        bucket = self._buckets.get(namespace)
        if bucket is None:
            loop = asyncio.get_running_loop()

            def provide() -> Credentials:
                reading = asyncio.run_coroutine_threadsafe(self.credentials(namespace), loop)
                try:
                    return reading.result(timeout=_SECRET_SECONDS)
                except TimeoutError as error:
                    reading.cancel()
                    raise StorageUnavailable(
                        f"the Secret of workspace {namespace} was not read in time"
                    ) from error

            bucket = Bucket(provide, ca_bundle=self._ca_bundle, proxies=self._proxies)
            self._buckets[namespace] = bucket
        self._buckets.move_to_end(namespace)
        while len(self._buckets) > _KEPT:
            self._buckets.popitem(last=False)
        return bucket

    def forget(self, namespace: str) -> None:
        """Open the bucket anew at the next use: its Secret may say something else now."""
        self._buckets.pop(namespace, None)
