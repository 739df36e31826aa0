"""The processes of the cluster: their command lines, and how each shows that it is ready."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.places import (
    ETCD_CLIENT,
    ETCD_PEER,
    NODE,
    NODE_ADDRESS,
    POD_NETWORK,
    SERVICE_NETWORK,
    Places,
)


@dataclass(frozen=True)
class Component:
    """One process.

    `after` names what has to be ready before it starts. `ready` is an address that answers 200 (`http…`), a socket
    file (`/…`), or empty: ready as soon as it runs.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    ready: str = ""
    # How long it may take to end by itself.
    grace_seconds: float = 5


def _etcd(places: Places) -> Component:
    command = (
        "/usr/bin/etcd",
        f"--data-dir={places.cluster}/etcd",
        f"--listen-client-urls={ETCD_CLIENT}",
        f"--advertise-client-urls={ETCD_CLIENT}",
        f"--listen-peer-urls={ETCD_PEER}",
        f"--initial-advertise-peer-urls={ETCD_PEER}",
        f"--initial-cluster=default={ETCD_PEER}",
        # A crash of the machine may lose data: the cluster is made anew then.
        "--unsafe-no-fsync",
        "--quota-backend-bytes=4294967296",
        "--logger=zap",
    )
    return Component("etcd", command, ready=f"{ETCD_CLIENT}/health")


def _containerd(places: Places) -> Component:
    program = shutil.which("containerd") or "/usr/bin/containerd"
    command = (program, f"--config={places.configuration}/containerd.toml")
    return Component("containerd", command, ready=str(places.containerd_socket))


def _api_server(places: Places) -> Component:
    pki = places.pki
    command = (
        f"{places.bin}/kube-apiserver",
        f"--bind-address={NODE_ADDRESS}",
        f"--advertise-address={NODE_ADDRESS}",
        "--secure-port=6443",
        f"--etcd-servers={ETCD_CLIENT}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/service-accounts.key",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        f"--kubelet-client-certificate={pki}/apiserver-to-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-to-kubelet.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki}/ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
        f"--audit-policy-file={places.configuration}/audit-policy.yaml",
        f"--audit-log-path={places.audit_log}",
        "--audit-log-maxsize=500",
        "--audit-log-maxbackup=10",
    )
    return Component(
        "kube-apiserver",
        command,
        after=("etcd",),
        ready=f"https://{NODE_ADDRESS}:6443/readyz",
        grace_seconds=15,
    )


def _controller_manager(places: Places) -> Component:
    pki, kubeconfig = places.pki, places.configuration / "controller-manager.kubeconfig"
    command = (
        f"{places.bin}/kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={NODE_ADDRESS}",
        f"--service-account-private-key-file={pki}/service-accounts.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--client-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--cluster-cidr={POD_NETWORK}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--kube-api-qps=100",
        "--kube-api-burst=200",
    )
    return Component("kube-controller-manager", command, after=("kube-apiserver",))


def _scheduler(places: Places) -> Component:
    kubeconfig = places.configuration / "scheduler.kubeconfig"
    command = (
        f"{places.bin}/kube-scheduler",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={NODE_ADDRESS}",
        "--leader-elect=false",
        "--kube-api-qps=100",
        "--kube-api-burst=200",
    )
    return Component("kube-scheduler", command, after=("kube-apiserver",))


def _kubelet(places: Places) -> Component:
    command = (
        f"{places.bin}/kubelet",
        f"--config={places.configuration}/kubelet.yaml",
        f"--kubeconfig={places.configuration}/kubelet.kubeconfig",
        f"--root-dir={places.cluster}/kubelet",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
    )
    return Component("kubelet", command, after=("kube-apiserver", "containerd"))


def _coredns(places: Places) -> Component:
    command = (f"{places.bin}/coredns", "-conf", f"{places.configuration}/Corefile")
    return Component("coredns", command, after=("kube-apiserver",))


def _kube_proxy(places: Places) -> Component:
    command = (f"{places.bin}/kube-proxy", f"--config={places.configuration}/kube-proxy.yaml")
    return Component("kube-proxy", command, after=("kube-apiserver",))


def components(places: Places) -> tuple[Component, ...]:
    """Give the components in the order in which they start; they stop in the opposite one."""
    makers = (
        _etcd,
        _containerd,
        _api_server,
        _controller_manager,
        _scheduler,
        _kubelet,
        _coredns,
        _kube_proxy,
    )
    return tuple(make(places) for make in makers)


def programs(parts: Iterable[Component]) -> tuple[str, ...]:
    """Give the names of all programs of the cluster, containerd's shims included."""
    return (*(Path(part.command[0]).name for part in parts), "containerd-shim-runc-v2")


def fingerprint(parts: Iterable[Component], files: Iterable[str], built: Iterable[str]) -> str:
    """Give what changes when the cluster would start differently: command lines, files, builds."""
    content = json.dumps([[part.command for part in parts], list(files), list(built)])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
