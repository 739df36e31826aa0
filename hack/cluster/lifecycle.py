"""Bringing the cluster up and down: whatever state the machine was left in, both end in the one asked for."""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hack.cluster import build, configuration, images, iptables, machine, pki
from hack.cluster.components import components, fingerprint, programs
from hack.cluster.errors import ClusterError
from hack.cluster.places import (
    BRIDGE,
    DNS_DOMAIN,
    HERE,
    LOCK,
    NODE,
    NODE_ADDRESS,
    RECORD,
    Places,
)
from hack.cluster.processes import Process, end, of_cluster, running, wait
from hack.cluster.record import Record, boot, refusal

# On a busy machine of two cores; on an idle one it takes a tenth of it.
READY_SECONDS = 180
SUPERVISION = "hack.cluster.supervision"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One line of `status`."""

    name: str
    pid: int
    alive: bool
    ready: bool
    restarts: int
    seconds: float


@contextmanager
def alone(say: Say) -> Iterator[None]:
    """Let one `up` or `down` run at a time on this machine."""
    if os.geteuid() != 0:
        raise ClusterError(
            "The local cluster needs root: network interfaces, mounts and containers are its own."
        )
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command changes the cluster; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _take_over() -> bool:
    return os.environ.get("CI") == "true" or os.environ.get("TAKE_OVER") == "1"


def _supervisors(places: Places) -> list[Process]:
    return [
        process
        for process, command in running()
        if SUPERVISION in command and command[-1] == str(places.clone) and process.pid != os.getpid()
    ]


def _components(places: Places) -> list[Process]:
    names = programs(components(places))
    return [process for process, command in running() if of_cluster(command, places.cluster, names)]


def _present_fingerprint(places: Places) -> str:
    files = configuration.rendered(places, Path("/etc/resolv.conf").read_text()).values()
    built = [build.installed(target).name for target in build.TARGETS] + [build.pause_folder().name]
    return fingerprint(components(places), files, built)


def status(places: Places) -> list[Row]:
    """Give what runs, as the supervision process last wrote it, checked against the machine."""
    try:
        conditions = json.loads(places.processes.read_text())
    except FileNotFoundError:
        return []
    now = time.time()
    rows = []
    for one in conditions:
        alive = bool(one["pid"]) and Process(one["pid"], one["start_ticks"]).alive()
        seconds = now - one["started"] if alive else 0.0
        rows.append(Row(one["name"], one["pid"], alive, alive and one["ready"], one["restarts"], seconds))
    return rows


def _kubectl(places: Places, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        [places.bin / "kubectl", f"--kubeconfig={places.kubeconfig}", "--request-timeout=5s", *arguments],
        input=given,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def resolves(name: str, server: str = NODE_ADDRESS) -> bool:
    """Ask the cluster's name server for the address of a name, and tell whether it gives one."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack(">6H", 0x4D4C, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        try:
            client.sendto(query, (server, 53))
            answer = client.recv(512)
        except OSError:
            return False  # nobody listens yet
    _, flags, _, answers, _, _ = struct.unpack(">6H", answer[:12])
    return not flags & 0xF and answers > 0


def _node_ready(places: Places) -> bool:
    path = "{.status.conditions[?(@.type=='Ready')].status}"
    return _kubectl(places, "get", "node", NODE, f"-o=jsonpath={path}").stdout == "True"


def _has_default_account(places: Places) -> bool:
    return _kubectl(places, "get", "serviceaccount", "default", "-n=default").returncode == 0


def healthy(places: Places) -> bool:
    """Tell whether the cluster can be used: all processes, the node, names and the default account."""
    rows = status(places)
    return (
        bool(rows)
        and all(row.ready for row in rows)
        and bool(_supervisors(places))
        and _node_ready(places)
        and resolves(f"kubernetes.default.svc.{DNS_DOMAIN}")
        and _has_default_account(places)
    )


def _wait_for(what: str, condition: Callable[[], bool], places: Places) -> None:
    if wait(condition, READY_SECONDS, interval=0.1):
        return
    rows = [row for row in status(places) if not row.ready or row.restarts]
    lines = [f"{what} did not come within {READY_SECONDS} s."]
    for row in rows:
        log = places.log / f"{row.name}.log"
        tail = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
        lines += [
            f"{row.name}: {'running' if row.alive else 'not running'}, {row.restarts} restarts; {log}:",
            *tail,
        ]
    raise ClusterError("\n".join(lines))


def _prepare(places: Places) -> None:
    """Write down what will change on the machine, then change it."""
    machine.load_modules()
    before = machine.sysctls()
    record = Record(
        owner=str(places.clone),
        boot=boot(),
        fingerprint=_present_fingerprint(places),
        interfaces=(BRIDGE,),
        sysctls=before,
        paths=machine.absent(),
        iptables={family: iptables.save(family) for family in iptables.FAMILIES},
        cgroups=(machine.CGROUP,),
    )
    record.save(RECORD)
    # A restart of the machine empties /run; this copy still knows what lies elsewhere.
    record.save(places.cluster / RECORD.name)
    for folder in (places.log, places.configuration, places.audit_log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for old in places.audit_log.parent.glob("audit*.log"):
        old.unlink()
    pki.create(places.pki)
    configuration.write(places, Path("/etc/resolv.conf").read_text())
    machine.create_bridge()
    machine.set_sysctls(machine.wanted_sysctls(before))
    machine.let_pods_out()


def _start_supervision(places: Places) -> None:
    environment = os.environ | {"PYTHONPATH": str(places.clone)}
    with (places.log / "supervision.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", SUPERVISION, str(places.clone)],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _start(places: Places, say: Say) -> None:
    began = time.monotonic()
    _prepare(places)
    _start_supervision(places)
    _complete(places)
    say(f"The cluster is ready, {time.monotonic() - began:.1f} s after its start.")


def _complete(places: Places) -> None:
    """Do what needs running components, and wait until the cluster can be used; what is done is passed over."""
    _wait_for("containerd", lambda: _component_ready(places, "containerd"), places)
    images.load(places, [build.pause_archive()])
    _wait_for("The API server", lambda: _component_ready(places, "kube-apiserver"), places)
    rules = (places.configuration / "rbac.yaml").read_text()
    _wait_for(
        "The name server's role",
        lambda: _kubectl(places, "apply", "-f=-", given=rules).returncode == 0,
        places,
    )
    _wait_for("A usable cluster", lambda: healthy(places), places)


def _component_ready(places: Places, name: str) -> bool:
    return any(row.name == name and row.ready for row in status(places))


def _clear(record: Record, say: Say) -> None:
    """Undo everything that a record names; what is already gone is passed over."""
    places = Places(Path(record.owner))
    say(f"Bringing down the cluster of {record.owner}.")
    end(lambda: _supervisors(places), grace_seconds=40)
    end(lambda: _components(places), grace_seconds=5)
    for cgroup in record.cgroups:
        end(lambda group=cgroup: machine.in_cgroup(group), grace_seconds=0)  # type: ignore[misc]
    machine.unmount_below(places.cluster)
    if left := machine.mounts_below(places.cluster):
        # What is mounted may be a folder of the user's: nothing is deleted through it.
        raise ClusterError(f"These are still mounted; unmount them, then try again: {', '.join(left)}")
    machine.delete_links(record.interfaces)
    for family, before in record.iptables.items():
        iptables.remove_ours(family, before if record.survives(boot()) else iptables.save(family))
    if record.survives(boot()):
        machine.set_sysctls(record.sysctls)
    machine.remove_cgroups(record.cgroups)
    machine.remove_paths(record.paths)
    machine.remove_sockets_without_listener()
    shutil.rmtree(places.cluster, ignore_errors=not places.cluster.exists())
    places.kubeconfig.unlink(missing_ok=True)
    RECORD.unlink(missing_ok=True)


def _leftover(places: Places) -> Record:
    """Give a record for what a crash may have left when /run was emptied by a restart of the machine."""
    nothing = Record(owner=str(places.clone), boot="", interfaces=(BRIDGE,), cgroups=(machine.CGROUP,))
    # A clone that was moved or copied brings the record of another place along.
    return replace(Record.load(places.cluster / RECORD.name) or nothing, owner=str(places.clone))


def _allowed(record: Record, places: Places) -> None:
    reason = refusal(record, places.clone, take_over=_take_over(), owner_exists=Path(record.owner).is_dir())
    if reason:
        raise ClusterError(reason)


def up(say: Say, places: Places = HERE) -> None:
    """Bring the cluster up; when it already runs, say so and return at once.

    Raises
    ------
    ClusterError
        If another clone's cluster runs, something is missing on the machine, or a component does not start.
    """
    with alone(say):
        record = Record.load(RECORD)
        if record:
            _allowed(record, places)
        if record and record.owner == str(places.clone) and _recovers(record, places, say):
            return
        if record:
            _clear(record, say)
        elif places.cluster.exists():
            _clear(_leftover(places), say)
        _start(places, say)


def _recovers(record: Record, places: Places, say: Say) -> bool:
    """Tell whether the cluster that was started before can be used, waiting for what restarts just now."""
    if not (record.survives(boot()) and _supervisors(places)):
        return False
    if not healthy(places):
        say("The cluster runs but is not ready; waiting for it.")
        try:
            _complete(places)
        except ClusterError as error:
            say(f"{error}\nIt is made anew.")
            return False
    say("The cluster is running.")
    if record.fingerprint != _present_fingerprint(places):
        say(
            "It was started with other settings than the present ones: `make cluster-down cluster` renews it."
        )
    return True


def down(say: Say, places: Places = HERE) -> None:
    """Bring the cluster down and undo what it changed on the machine.

    Raises
    ------
    ClusterError
        If it is another clone's, or something of it does not end.
    """
    with alone(say):
        record = Record.load(RECORD)
        if record:
            _allowed(record, places)
            _clear(record, say)
            say("The cluster is down.")
        elif places.cluster.exists():
            _clear(_leftover(places), say)
        else:
            say("No cluster is running.")
