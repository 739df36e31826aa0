"""The cluster, through kubectl: so every kubeconfig, plugin for signing in, and proxy that works there works here."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from mlops_operator.cli.errors import ClusterError

Object = dict[str, Any]
_NOT_FOUND: Final = "(NotFound)"
_ALREADY_EXISTS: Final = "(AlreadyExists)"
_AWAY: Final = (
    "connection refused",
    "was refused",
    "no such host",
    "i/o timeout",
    "deadline exceeded",
    "no route to host",
    "context was not found",
    "current-context must exist",
    "no configuration has been provided",
    "connect: ",
)


@dataclass(frozen=True)
class Cluster:
    """kubectl with a kubeconfig, a context and a namespace; what is None is kubectl's own choice."""

    asked_namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    program: str = field(default_factory=lambda: os.environ.get("KUBECTL", "kubectl"))

    @cached_property
    def namespace(self) -> str:
        """The one asked for, else that of the context."""
        if self.asked_namespace:
            return self.asked_namespace
        return self._run("config", "view", "--minify", "--output=jsonpath={..namespace}").strip() or "default"

    def runs(self) -> list[Object]:
        return self._list("trainingruns")

    def models(self) -> list[Object]:
        return self._list("modelversions")

    def run(self, name: str) -> Object | None:
        """Give a TrainingRun; None where there is none of that name."""
        try:
            found: Object = json.loads(self._here("get", "trainingrun", name, "--output=json"))
        except ClusterError as error:
            if _NOT_FOUND in str(error):
                return None
            raise
        return found

    def create(self, body: Mapping[str, Any]) -> Object | None:
        """Make an object, and give it as it is then; None where the name is taken."""
        try:
            text = self._here("create", "--filename=-", "--output=json", stdin=json.dumps(body))
        except ClusterError as error:
            if _ALREADY_EXISTS in str(error):
                return None
            raise
        made: Object = json.loads(text)
        return made

    def patch_run(self, name: str, spec: Mapping[str, Any]) -> Object:
        """Change fields of a run's spec, and give it as it is then."""
        patch = json.dumps({"spec": spec})
        text = self._here("patch", "trainingrun", name, "--type=merge", f"--patch={patch}", "--output=json")
        changed: Object = json.loads(text)
        return changed

    def secret(self, name: str) -> dict[str, str]:
        """Give the decoded values of a Secret."""
        data = json.loads(self._here("get", "secret", name, "--output=json")).get("data") or {}
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}

    def pod_is_there(self, name: str) -> bool:
        return bool(self._here("get", "pod", name, "--ignore-not-found", "--output=name").strip())

    def log_command(self, pod: str, *, follow: bool) -> list[str]:
        """Give the words of the command that shows what the training printed."""
        return [
            *self._command("logs", pod, "--container=train", *(["--follow"] if follow else [])),
            f"--namespace={self.namespace}",
        ]

    def logs(self, pod: str) -> str:
        return self._here("logs", pod, "--container=train")

    def _list(self, plural: str) -> list[Object]:
        items: list[Object] = json.loads(self._here("get", plural, "--output=json"))["items"]
        return items

    def _here(self, *words: str, stdin: str | None = None) -> str:
        return self._run(*words, f"--namespace={self.namespace}", "--request-timeout=60s", stdin=stdin)

    def _command(self, *words: str) -> list[str]:
        chosen = [f"--context={self.context}"] if self.context else []
        chosen += [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return [self.program, *words, *chosen]

    def _run(self, *words: str, stdin: str | None = None) -> str:
        try:
            done = subprocess.run(
                self._command(*words), input=stdin, capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise ClusterError(
                f"there is no {self.program}: install kubectl, or set KUBECTL to its path"
            ) from error
        if done.returncode != 0:
            raise ClusterError(_sentence(done.stderr))
        return done.stdout


def _sentence(said: str) -> str:
    """Make one line of what kubectl said, with what can be done without a cluster."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = " ".join(_kept(lines)).removeprefix("Error from server ").removeprefix("error: ")
    if any(word in text.lower() for word in _AWAY):
        return f"the cluster does not answer: {text} (what has ended is in the bucket: --bucket s3://NAME)"
    return text or "kubectl failed without a word"


def _kept(lines: Iterable[str]) -> list[str]:
    # The client's own log lines begin with a letter for their level, and the date.
    kept = [line for line in lines if not (line[:1] in "EIW" and line[1:5].isdigit())]
    return list(dict.fromkeys(kept))
