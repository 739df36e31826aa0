"""The Debian packages that the cluster needs, installed when they are missing."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.cluster.errors import ClusterError

PACKAGES = (
    "etcd-server", "containerd", "runc", "containernetworking-plugins", "iptables", "nftables", "conntrack",
    "buildah", "debootstrap", "git", "git-lfs", "gcc", "libc6-dev", "ca-certificates", "openssl", "iproute2",
)  # fmt: skip
# Debian's etcd and containerd start services of their own at installation; this keeps them from it.
POLICY = Path("/usr/sbin/policy-rc.d")
REFUSE = "#!/bin/sh\nexit 101\n"


def missing(packages: Iterable[str] = PACKAGES) -> list[str]:
    """Give the packages of the list that are not installed."""
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *packages]
    # dpkg-query exits with 1 when it knows one of them not at all, and still lists the others.
    listing = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    installed = {name for name, status in map(str.split, listing.splitlines()) if status == "installed"}
    return [package for package in packages if package not in installed]


@contextmanager
def services_stay_down(policy: Path = POLICY) -> Iterator[None]:
    """Let no package start its service while the block runs; afterwards the machine's own policy is back.

    Parameters
    ----------
    policy
        Debian's hook that is asked before a package starts a service: exit code 101 refuses.
    """
    kept = policy.with_name(f"{policy.name}.kept-by-mlops-operator")
    if policy.exists() and not kept.exists():
        policy.rename(kept)
    policy.write_text(REFUSE)
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
        if kept.exists():
            kept.rename(policy)


def install() -> list[str]:
    """Install what is missing and give its names.

    Raises
    ------
    ClusterError
        If this is no Debian, the user is not root, or apt failed.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-query")):
        raise ClusterError(
            "This machine has no apt-get: the local cluster needs Debian 12; elsewhere start Docker with kind, "
            "or set CLUSTER=current to use the cluster of your kubeconfig."
        )
    wanted = missing()
    if not wanted:
        return []
    if os.geteuid() != 0:
        raise ClusterError(f"Packages are missing; as root, run: apt-get install {' '.join(wanted)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    options = ["-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"]
    with services_stay_down():
        for command in (["update"], ["install", "--no-install-recommends", *wanted]):
            done = subprocess.run(
                ["apt-get", *options, *command], env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
                raise ClusterError(
                    f"apt-get {command[0]} failed; repair it, then start again. It said:\n{last}"
                )
    return wanted
