"""A remote MLflow server, as far as forwarding needs it: calls of its REST API, and files for its artifact store."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

Json = dict[str, Any]
_TIMEOUT_SECONDS = 20.0
_UPLOAD_TIMEOUT_SECONDS = 120.0
_MAX_ANSWER_BYTES = 32 << 20
_MAX_MESSAGE = 300
# Answers after which the same call may go through.
_PASSING = frozenset({408, 425, 429})
_SERVER_ERROR = 500
_BAD_REQUEST = 400
_DENIED = (401, 403)
_TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - the name of a key
_USER, _PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


class Unreachable(Exception):  # noqa: N818
    """The server did not answer, or says that it cannot now: the same call is tried again."""


class Refused(Exception):  # noqa: N818
    """The server said no.

    Attributes
    ----------
    status, code
        The answer's status, and MLflow's word for it.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    @property
    def of_content(self) -> bool:
        """Whether what was sent is wrong, and not who sends it or where."""
        return self.status == _BAD_REQUEST or self.code in (
            "INVALID_PARAMETER_VALUE",
            "RESOURCE_ALREADY_EXISTS",
            "RESOURCE_DOES_NOT_EXIST",
        )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would make a GET of a POST, and carry the token to another host."""

    def redirect_request(self, *_: object) -> None:
        return None


class RemoteMlflow:
    """The server.

    Parameters
    ----------
    uri
        Tracking URI, as a client takes it.
    credentials
        Folder of the mounted Secret; read for every call, as its content may be replaced.
    secret
        Name of the Secret, for messages; None: there is none.
    """

    def __init__(self, uri: str, credentials: Path, secret: str | None) -> None:
        self.uri = uri.rstrip("/")
        self._credentials = credentials
        self._secret = secret
        # Proxies and certificates as the container's environment says.
        self._opener = urllib.request.build_opener(_NoRedirect())

    def call(self, method: str, path: str, body: Json) -> Json:
        """Call ``api/2.0/mlflow/<path>``.

        Raises
        ------
        Unreachable
            It may be tried again.
        Refused
            It was understood and refused.
        """
        url = f"{self.uri}/api/2.0/mlflow/{path}"
        data: bytes | None = None
        if method == "GET":
            url = f"{url}?{urlencode(body)}"
        else:
            data = json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)  # noqa: S310 - the CRD takes http(s) alone
        request.add_header("Content-Type", "application/json")
        answer = self._send(request, _TIMEOUT_SECONDS)
        try:
            content = json.loads(answer or b"{}")
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise Refused(
                404, "NOT_MLFLOW", f"{self.uri} does not answer as an MLflow server: {method} {path}"
            )
        return content

    def upload(self, path: str, file: Path) -> None:
        """Put a file into the server's artifact store; ``path`` is that of an mlflow-artifacts URI."""
        url = f"{self.uri}/api/2.0/mlflow-artifacts/artifacts/{quote(path.lstrip('/'))}"
        with file.open("rb") as content:
            request = urllib.request.Request(url, content, method="PUT")  # noqa: S310
            request.add_header("Content-Type", "application/octet-stream")
            request.add_header("Content-Length", str(file.stat().st_size))
            self._send(request, _UPLOAD_TIMEOUT_SECONDS)

    def page(self, experiment_id: str, run_id: str) -> str:
        """Give the address of a run's page."""
        return f"{self.uri}/#/experiments/{experiment_id}/runs/{run_id}"

    def advice(self, error: Refused) -> str:
        """Say what was refused and what to do."""
        secret = f"the Secret {self._secret}" if self._secret else "a Secret"
        if error.status in _DENIED:
            do = (
                f"Its credentials are taken from {secret} (spec.tracking.mlflow.credentialsSecretRef: {_TOKEN}, or"
                f" {_USER} and {_PASSWORD}); they must allow writing to the experiment. On SharingHub its name ends"
                " with the project's id: wine (42)."
            )
        else:
            do = "Check spec.tracking.mlflow.uri and experiment."
        return f"{self.uri} refused with {error.status}: {error}. {do}"

    def _send(self, request: urllib.request.Request, timeout: float) -> bytes:
        if authorization := self._authorization():
            request.add_unredirected_header("Authorization", authorization)
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                return bytes(answer.read(_MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from error
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise Unreachable(f"{self.uri} does not answer: {reason}") from error

    def _authorization(self) -> str | None:
        if token := self._read(_TOKEN):
            return f"Bearer {token}"
        user, password = self._read(_USER), self._read(_PASSWORD)
        if user and password:
            return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        return None

    def _read(self, key: str) -> str:
        try:
            return (self._credentials / key).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""


def _refusal(error: urllib.error.HTTPError) -> Unreachable | Refused:
    try:
        text = error.read(1 << 16).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        text = ""
    if error.code in _PASSING or error.code >= _SERVER_ERROR:
        return Unreachable(f"{urlsplit(error.url).netloc} answers {error.code}")
    code, message = "", error.reason
    try:
        content = json.loads(text)
        code, message = str(content.get("error_code", "")), str(content.get("message") or message)
    except (ValueError, AttributeError):
        pass
    if location := error.headers.get("Location"):
        message = f"it redirects to {location}"
    return Refused(error.code, code, " ".join(message.split())[:_MAX_MESSAGE].rstrip("."))
