"""Workspaces: refusals say what to do, and no endpoint is dialled that is not allowed."""

from __future__ import annotations

import pytest

from mlops_operator.controller.effects import NotPermitted, SecretMissing
from mlops_operator.controller.kube import decode_secret
from mlops_operator.controller.transport import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    Unavailable,
    error_of,
)
from mlops_operator.controller.workspaces import Workspaces, origin
from mlops_operator.errors import CredentialsError
from mlops_operator.settings import S3Settings, Settings

SETTINGS = Settings(s3=S3Settings(endpoint="https://s3.example.org", allowed_endpoints=["http://minio:9000"]))
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hush"}


class Secrets:
    def __init__(self, answer: dict[str, str] | KubeError) -> None:
        self.answer = answer

    async def secret(self, namespace: str, name: str) -> dict[str, str]:
        assert (namespace, name) == ("ws-alice", "ws-alice-datalab")
        if isinstance(self.answer, KubeError):
            raise self.answer
        return self.answer


async def test_a_secret_without_endpoint_and_bucket_opens_the_usual_ones() -> None:
    credentials = await Workspaces(Secrets(KEYS), SETTINGS).credentials("ws-alice")
    assert (credentials.endpoint, credentials.bucket) == ("https://s3.example.org", "ws-alice")


@pytest.mark.parametrize(
    "endpoint", ["https://s3.example.org:443/", "http://MINIO:9000", "https://S3.example.org"]
)
async def test_allowed_endpoints_in_any_spelling(endpoint: str) -> None:
    workspaces = Workspaces(Secrets(KEYS | {"AWS_ENDPOINT_URL": endpoint}), SETTINGS)
    assert origin((await workspaces.credentials("ws-alice")).endpoint) == origin(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["http://s3.example.org", "https://s3.example.org.evil.net", "http://minio:9001", "http://10.0.0.1"],
)
async def test_other_endpoints_are_not_dialled(endpoint: str) -> None:
    workspaces = Workspaces(Secrets(KEYS | {"AWS_ENDPOINT_URL": endpoint}), SETTINGS)
    with pytest.raises(NotPermitted, match="allowedEndpoints"):
        await workspaces.credentials("ws-alice")


async def test_refusals_name_the_command_that_helps() -> None:
    with pytest.raises(NotPermitted, match="kubectl -n ws-alice apply -f manifests/components/workspace"):
        await Workspaces(Secrets(Forbidden("no", status=403)), SETTINGS).credentials("ws-alice")
    with pytest.raises(SecretMissing, match="kubectl -n ws-alice get secrets"):
        await Workspaces(Secrets(NotFound("no", status=404)), SETTINGS).credentials("ws-alice")
    with pytest.raises(CredentialsError, match="ws-alice-datalab in namespace ws-alice"):
        await Workspaces(Secrets({}), SETTINGS).credentials("ws-alice")


def test_values_of_a_secret_are_decoded() -> None:
    assert decode_secret({"data": {"a": "aHVzaA==", "binary": "//79"}}) == {"a": "hush"}
    assert decode_secret({}) == {}
    with pytest.raises(KubeError, match="key a is not base64"):
        decode_secret({"data": {"a": "?"}})


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Gone),
        (429, "TooManyRequests", Unavailable),
        (503, "", Unavailable),
        (403, "Forbidden", Forbidden),
    ],
)
def test_refusals_of_the_api_server_by_name(status: int, reason: str, kind: type[KubeError]) -> None:
    error = error_of(status, f'{{"reason": "{reason}", "message": "because"}}', "GET /x", "7")
    assert type(error) is kind
    assert "because" in str(error)
    assert error.retry_after_seconds == 7.0
