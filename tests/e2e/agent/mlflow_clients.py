"""Environments with the MLflow clients that scripts of users have, made at their first use."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

# The oldest and the newest come with what models need, and with what `mlflow server` imports.
REQUIREMENTS = {
    "2.14.3": (
        "mlflow-skinny==2.14.3",
        "scikit-learn==1.5.2",
        "numpy==1.26.4",
        "pandas==2.2.3",
        "setuptools==65.5.0",
        "Flask==3.1.3",
        "gunicorn==27.0.1",
        "querystring-parser==1.2.4",
    ),
    "2.22.2": ("mlflow-skinny==2.22.2",),
    "3.0.1": ("mlflow-skinny==3.0.1",),
    "3.6.0": ("mlflow-skinny==3.6.0",),
    "3.17.2": (
        "mlflow-skinny==3.17.2",
        "scikit-learn==1.7.2",
        "numpy==2.4.6",
        "pandas==3.1.1",
        "skops==0.16.0",
        "Flask==3.1.3",
        "flask-cors==6.0.5",
        "SQLAlchemy==2.1.9",
        "alembic==1.20.1",
        "graphene==3.4.3",
        "huey==3.5.4",
        "aiohttp==3.14.5",
    ),
}
WITH_MODELS = ("2.14.3", "3.17.2")


def client_python(version: str) -> Path:
    """Give the interpreter of an environment with this version of the client, shared by all checkouts."""
    requirements = REQUIREMENTS[version]
    key = hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlops-operator"
    folder = cache / "mlflow-clients" / f"{version}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", *requirements], check=True)
            (folder / "complete").touch()
    return python
