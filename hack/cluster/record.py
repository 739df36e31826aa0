"""The undo record: who runs the machine's one cluster, and what that changed outside of the owner's folder.

It lies in /run, so that every clone finds it. Each entry is written before the change that it undoes; undoing
something that never came to be is harmless.
"""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from hack.cluster.errors import ClusterError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot() -> str:
    """Give what tells this start of the machine from others."""
    return BOOT_ID.read_text().strip()


@dataclass(frozen=True)
class Record:
    """What has to be undone when the cluster goes down."""

    owner: str
    boot: str
    # Differs when the owner's code would start the cluster differently from how it was started.
    fingerprint: str = ""
    interfaces: tuple[str, ...] = ()
    # name → value before
    sysctls: dict[str, str] = field(default_factory=dict)
    # Folders and files that were not there before.
    paths: tuple[str, ...] = ()
    # family → what iptables-save said before
    iptables: dict[str, str] = field(default_factory=dict)
    cgroups: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read the record.

        Raises
        ------
        ClusterError
            If it cannot be understood.
        """
        try:
            text = path.read_text()
        except FileNotFoundError:
            return None
        try:
            content = json.loads(text)
            for name in ("interfaces", "paths", "cgroups"):
                content[name] = tuple(content.get(name, ()))
            return cls(**content)
        except (ValueError, TypeError, AttributeError) as error:
            raise ClusterError(
                f"{path} is not a record of this version ({error}); bring the cluster down with the clone that "
                "started it, or remove the file and restart the machine."
            ) from error

    def save(self, path: Path) -> None:
        """Write the record so that a crash leaves the old one or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with draft.open("w") as file:
            json.dump(asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def with_sysctls(self, before: dict[str, str]) -> Self:
        """Note the values that parameters have before they are changed; the first note of each stays."""
        return replace(self, sysctls=before | self.sysctls)

    def survives(self, boot_now: str) -> bool:
        """Tell whether the machine has not been restarted since: what the kernel holds is still there."""
        return self.boot == boot_now


def refusal(record: Record, me: Path, *, take_over: bool, owner_exists: bool) -> str | None:
    """Give the sentence that keeps a clone from touching the cluster of another one, or None if it may.

    Parameters
    ----------
    record
        The running cluster's.
    me
        The clone that asks.
    take_over
        The user (or CI) said that the other's cluster may be brought down.
    owner_exists
        Whether the other clone's folder is still there.
    """
    if record.owner == str(me) or take_over or not owner_exists:
        return None
    return (
        f"The clone {record.owner} runs this machine's cluster. Run `make cluster-down` there, "
        "or start again with TAKE_OVER=1 to bring that one down first."
    )
