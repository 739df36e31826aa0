"""What the cluster changes on the machine outside of its folder, and how that is undone."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hack.cluster import iptables
from hack.cluster.places import BRIDGE, NODE_ADDRESS, POD_NETWORK
from hack.cluster.processes import Process, identify

_SYSCTL = Path("/proc/sys")
_CGROUPS = Path("/sys/fs/cgroup")
CGROUP = "kubepods"

# Raised by us when lower: 200 pods with a log follower each exceed the default.
MINIMA = {"fs.inotify.max_user_instances": 8192, "fs.inotify.max_user_watches": 524288}
# Written by us, the kubelet, kube-proxy and the CNI plugins.
CHANGED = (
    *MINIMA,
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv4.conf.default.accept_redirects",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)
# Made by the kubelet, containerd, the CNI plugins or iptables, wherever their own folders are set to.
CREATED = (
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
    "/run/containerd",
    "/run/netns",
    "/run/xtables.lock",
    "/usr/libexec/kubernetes",
)


def _parameter(name: str) -> Path:
    return _SYSCTL.joinpath(*name.split("."))


def sysctls(names: tuple[str, ...] = CHANGED) -> dict[str, str]:
    """Give the present values of kernel parameters, those left out that this kernel lacks."""
    return {
        name: " ".join(_parameter(name).read_text().split()) for name in names if _parameter(name).is_file()
    }


def set_sysctls(values: dict[str, str]) -> None:
    """Set kernel parameters, each only if it differs."""
    for name, value in values.items():
        if sysctls((name,)).get(name, value) != value:
            _parameter(name).write_text(value)


def wanted_sysctls(now: dict[str, str]) -> dict[str, str]:
    """Give the parameters that the cluster needs set, from their present values."""
    raised = {name: str(least) for name, least in MINIMA.items() if int(now.get(name, least)) < least}
    bridged = {name: "1" for name in now if name.startswith("net.bridge.bridge-nf-call-ip")}
    return {"net.ipv4.ip_forward": "1", **bridged, **raised}


def absent(paths: tuple[str, ...] = CREATED) -> tuple[str, ...]:
    """Give those of the paths that do not exist."""
    return tuple(path for path in paths if not os.path.lexists(path))


def load_modules() -> None:
    """Load what the pods' network and file systems need, where the kernel has it as modules."""
    if shutil.which("modprobe"):
        for module in ("overlay", "br_netfilter"):
            # A kernel with everything built in has no modules to load: nothing to do then.
            subprocess.run(["modprobe", "--quiet", module], check=False, capture_output=True)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


def links(*selection: str) -> list[str]:
    """Give the names of network interfaces."""
    return [link["ifname"] for link in json.loads(_ip("-json", "link", "show", *selection) or "[]")]


def create_bridge() -> None:
    """Make the pods' bridge before the first pod, so that the node's address and DNS are there at once."""
    if BRIDGE not in links():
        _ip("link", "add", BRIDGE, "type", "bridge")
    # A bridge without ports has no carrier and so no route; up it answers on its address all the same.
    _ip("addr", "replace", f"{NODE_ADDRESS}/16", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")


def let_pods_out() -> None:
    """Masquerade what pods send to the world outside, and forward it."""
    iptables.remove_ours("iptables", before=iptables.save("iptables"))
    iptables.apply("iptables", iptables.masquerade(POD_NETWORK, BRIDGE))


def delete_links(bridges: tuple[str, ...]) -> None:
    """Delete bridges and what is plugged into them."""
    for bridge in bridges:
        if bridge in links():
            for port in links("master", bridge):
                # Its other end may have vanished with the pod's namespace a moment ago.
                with contextlib.suppress(subprocess.CalledProcessError):
                    _ip("link", "delete", port)
            _ip("link", "delete", bridge)


def mounts_below(folder: Path, table: str | None = None) -> list[str]:
    """Give the mount points below a folder, the deepest first.

    Parameters
    ----------
    folder
        The folder.
    table
        The content of /proc/self/mounts, if not the machine's own.
    """
    text = Path("/proc/self/mounts").read_text() if table is None else table
    # The kernel writes blanks in names as octal numbers.
    points = [line.split()[1].encode().decode("unicode_escape") for line in text.splitlines() if line]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


def unmount_below(folder: Path) -> None:
    """Unmount everything below a folder."""
    for point in mounts_below(folder):
        done = subprocess.run(["umount", point], capture_output=True, check=False)
        if done.returncode != 0:
            subprocess.run(["umount", "--lazy", point], check=True, capture_output=True)


def _cgroup_roots(name: str) -> Iterator[Path]:
    """Give the cgroup of that name in the one hierarchy (v2), or in each of them (v1)."""
    for parent in (_CGROUPS, *(entry for entry in _CGROUPS.iterdir() if entry.is_dir())):
        if (parent / name).is_dir():
            yield parent / name


def in_cgroup(name: str) -> list[Process]:
    """Give the processes of a cgroup and those below it."""
    pids: set[int] = set()
    for root in _cgroup_roots(name):
        for members in root.rglob("cgroup.procs"):
            with contextlib.suppress(FileNotFoundError, OSError):  # removed while we look
                pids |= {int(pid) for pid in members.read_text().split()}
    return [process for pid in pids if (process := identify(pid))]


def remove_cgroups(names: tuple[str, ...]) -> None:
    """Remove cgroups, the lowest first."""
    for name in names:
        for root in _cgroup_roots(name):
            for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
                folder.rmdir()
            root.rmdir()


def _open_sockets() -> set[str]:
    return {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()}


def remove_sockets_without_listener(folder: Path = Path("/run/containerd/s")) -> None:
    """Remove what shims that were killed left behind."""
    if folder.is_dir():
        listening = _open_sockets()
        for socket in folder.iterdir():
            if str(socket) not in listening:
                socket.unlink()


def in_use(path: Path, mounted: list[str], sockets: set[str]) -> bool:
    """Tell whether somebody else uses a folder that came with the cluster: a mount or a socket lies below it."""
    return bool(mounted) or any(socket.startswith(f"{path}/") for socket in sockets)


def remove_paths(paths: tuple[str, ...]) -> None:
    """Remove files and folders that came with the cluster, except those that somebody else uses by now."""
    for path in map(Path, paths):
        if path.is_dir() and not path.is_symlink():
            if not in_use(path, mounts_below(path), _open_sockets()):
                shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
