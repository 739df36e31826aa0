"""The entrypoint is a Go module with tests of its own, on real processes; the unit suite runs them."""

import os
import subprocess
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "entrypoint"


@pytest.mark.parametrize("command", [["go", "vet", "./..."], ["go", "test", "./..."]], ids=["vet", "test"])
def test_entrypoint(command: list[str]) -> None:
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    result = subprocess.run(
        command, cwd=MODULE, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_entrypoint_is_formatted() -> None:
    result = subprocess.run(["gofmt", "-l", "."], cwd=MODULE, capture_output=True, text=True, check=True)
    assert result.stdout == ""
