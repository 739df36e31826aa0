"""How much memory the operator takes, as the kernel counts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.e2e.faults import processes_of_pod

_WORD = "mlops_operator"


@dataclass(frozen=True)
class Memory:
    """Resident memory now, and the most since the process started, in MiB."""

    now_mib: float
    peak_mib: float


def parse(status: str) -> Memory:
    """Read /proc/<pid>/status."""
    kib = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in status.splitlines())
        if name in {"VmRSS", "VmHWM"}
    }
    return Memory(kib["VmRSS"] / 1024, kib["VmHWM"] / 1024)


def of_pod(pod_uid: str) -> Memory | None:
    """Measure the operator's process in a pod; None where it does not run on this machine."""
    found = [parse(Path(f"/proc/{pid}/status").read_text()) for pid in processes_of_pod(pod_uid, _WORD)]
    if not found:
        return None
    return Memory(sum(memory.now_mib for memory in found), sum(memory.peak_mib for memory in found))
