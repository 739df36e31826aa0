"""What the tests break: processes inside containers, by what the kernel says of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def processes_of_pod(pod_uid: str, word: str) -> list[int]:
    """Process ids, on this node, of a pod's processes whose command line has the word."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            cgroup = (folder / "cgroup").read_text()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if (pod_uid in cgroup or pod_uid.replace("-", "_") in cgroup) and word in command:
            found.append(int(folder.name))
    return found


def kill_in_pod(pod_uid: str, word: str) -> None:
    """Kill a pod's processes that have the word in their command line, as the kernel's OOM killer would."""
    pids = processes_of_pod(pod_uid, word)
    assert pids, f"no process of pod {pod_uid} has {word!r} in its command line"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
