"""Runs for the tests beside this module."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mlops_operator.api.history import RunEntry

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(name: str = "wine", number: int = 1, **fields: Any) -> RunEntry:
    begin = START + timedelta(hours=number)
    values: dict[str, Any] = {
        "name": name,
        "namespace": "ws-alice",
        "uid": f"{number:08x}-0000-4000-8000-000000000001",
        "generation": 1,
        "experiment": "wine",
        "phase": "Succeeded",
        "reason": "Succeeded",
        "created_at": begin,
        "start_time": begin + timedelta(seconds=5),
        "completion_time": begin + timedelta(seconds=65),
        "parameters": {"learning_rate": 0.1, "epochs": 3, "fast": True, "name": "it's"},
        "metrics": {"accuracy": 0.9, "val/loss": 0.2},
        "image": "python-ml@sha256:aa",
        "commit": "c" * 40,
    }
    return RunEntry.model_validate(values | fields)


def run(name: str = "wine", number: int = 1, **spec: Any) -> dict[str, Any]:
    """Give a TrainingRun as the API server does."""
    return {
        "apiVersion": "mlops.eoepca.org/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {
            "name": name,
            "namespace": "ws-alice",
            "uid": f"{number:08x}-0000-4000-8000-000000000001",
            "generation": 1,
            "creationTimestamp": "2026-03-01T12:00:00Z",
        },
        "spec": {
            "image": "python-ml:1",
            "command": ["python", "train.py"],
            "source": {"git": {"url": "https://git.example.org/wine.git", "ref": "main"}},
            "parameters": {"learning_rate": 0.01, "epochs": 3},
            "datasets": [{"name": "wine", "include": ["*.csv"]}],
            "outputs": {"model": {"name": "wine", "version": "7"}},
            "archived": True,
            "displayName": "First",
            "cancel": False,
            **spec,
        },
        "status": {
            "phase": "Succeeded",
            "reason": "Succeeded",
            "completionTime": "2026-03-01T12:05:00Z",
            "resolved": {
                "image": "docker.io/python-ml@sha256:" + "a" * 64,
                "commit": "c" * 40,
                "datasets": [{"name": "wine", "version": "2", "digest": "sha256:dd"}],
            },
            "attempts": [{"number": 1, "podName": "wine-1-abcde"}],
        },
    }
