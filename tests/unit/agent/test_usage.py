"""The file that the entrypoint writes while the command runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_operator.agent.usage import UsageFile


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b"[]", b'{"cpuSeconds": "x"}'])
def test_a_file_that_says_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "usage.json"
    if content is not None:
        path.write_bytes(content)
    assert UsageFile(path).read() is None


def test_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    path.write_text(
        '{"cpuSeconds": 1.5, "memoryBytes": 3, "memoryPeakBytes": 5, "gpuSeconds": null, "gpuUnmeasured": "x"}'
    )
    found = UsageFile(path).read()
    assert found is not None
    assert (found.cpu_seconds, found.memory_peak_bytes, found.gpu_seconds, found.gpu_unmeasured) == (
        1.5,
        5,
        None,
        "x",
    )
    assert UsageFile(path).version == UsageFile(path).version == 0
