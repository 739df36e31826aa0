"""Processes, mounts, parameters, packages and images: the decisions about them."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from hack.cluster import images, machine, packages, pause_image, processes, supervision
from hack.cluster.processes import Process

CLUSTER = Path("/srv/clone/.state/cluster")


def test_a_process_is_not_another_one_with_its_id() -> None:
    me = processes.identify(os.getpid())
    assert me is not None
    assert me.alive()
    assert not Process(me.pid, me.start_ticks + 1).alive()


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        (["/usr/bin/etcd", f"--data-dir={CLUSTER}/etcd"], True),
        (["setpriv", "--pdeathsig=TERM", "/usr/bin/etcd", f"--data-dir={CLUSTER}/etcd"], True),
        (["/usr/bin/etcd", "--data-dir=/var/lib/etcd"], False),
        (["/usr/bin/etcd", f"--data-dir={CLUSTER}-other/etcd"], False),
        (["tail", "-f", f"{CLUSTER}/log/etcd.log"], False),
    ],
)
def test_only_the_clusters_own_programs_are_ended(command: list[str], ours: bool) -> None:
    assert processes.of_cluster(command, CLUSTER, ["etcd", "kubelet"]) is ours


def test_mounts_are_undone_from_the_deepest() -> None:
    table = "\n".join(
        f"none {point} tmpfs rw 0 0"
        for point in ("/srv/a", "/srv/a/b", "/srv/a/b/c\\040d", "/srv/ab", "/proc")
    )
    assert machine.mounts_below(Path("/srv/a"), table) == ["/srv/a/b/c d", "/srv/a/b"]


def test_parameters_are_raised_and_never_lowered() -> None:
    now = {
        "fs.inotify.max_user_instances": "128",
        "fs.inotify.max_user_watches": "1000000",
        "net.bridge.bridge-nf-call-iptables": "0",
        "vm.overcommit_memory": "0",
    }
    assert machine.wanted_sysctls(now) == {
        "net.ipv4.ip_forward": "1",
        "net.bridge.bridge-nf-call-iptables": "1",
        "fs.inotify.max_user_instances": "8192",
    }


@pytest.mark.parametrize("own", [None, "#!/bin/sh\nexit 0\n"])
def test_services_stay_down_only_for_the_time_being(tmp_path: Path, own: str | None) -> None:
    policy = tmp_path / "policy-rc.d"
    if own:
        policy.write_text(own)

    def fail() -> None:
        with packages.services_stay_down(policy):
            assert policy.read_text() == packages.REFUSE
            raise RuntimeError("apt")

    with pytest.raises(RuntimeError, match="apt"):
        fail()
    assert (policy.read_text() if policy.exists() else None) == own
    assert len(list(tmp_path.iterdir())) == (1 if own else 0)


def test_short_names_of_local_images() -> None:
    names = ["localhost/python-ml:1", "localhost/team/x:1", "docker.io/library/y:1"]
    assert images.aliases(names) == {"localhost/python-ml:1": "docker.io/library/python-ml:1"}


def test_the_pause_image_is_the_same_for_the_same_program(tmp_path: Path) -> None:
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    pause_image.pack(b"program", first)
    pause_image.pack(b"program", second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        index = json.load(archive.extractfile("index.json") or io.BytesIO())
        for name in archive.getnames():
            if name.startswith("blobs/"):
                blob = (archive.extractfile(name) or io.BytesIO()).read()
                assert pause_image._digest(blob) == Path(name).name
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "localhost/pause:1"


def test_components_see_no_proxies() -> None:
    inherited = {"PATH": "/bin", "HTTPS_PROXY": "x", "http_proxy": "y", "NO_PROXY": "z", "ETCD_NAME": "n"}
    assert supervision.environment(inherited) == {"PATH": "/bin"}


def test_restarts_wait_longer_each_time_but_not_forever() -> None:
    waits = [supervision.backoff(failures) for failures in range(10)]
    assert waits == sorted(waits)
    assert waits[-1] == supervision.BACKOFF_SECONDS[-1]


def test_folders_that_somebody_else_uses_by_now_are_kept() -> None:
    path = Path("/run/containerd")
    assert machine.in_use(path, [], {"/run/containerd/containerd.sock"})
    assert machine.in_use(path, ["/run/containerd/x"], set())
    assert not machine.in_use(path, [], {"/run/containerd-other/x.sock", "00000002"})
