"""The components' configuration files, rendered from the places of a clone."""

import base64
import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import pause_image
from hack.cluster.places import (
    API_SERVER,
    BRIDGE,
    CONTEXT,
    DNS_DOMAIN,
    NODE,
    NODE_ADDRESS,
    POD_NETWORK,
    Places,
)


def kubeconfig(authority: bytes, certificate: bytes, key: bytes) -> dict[str, Any]:
    """Give a kubeconfig that carries its certificates itself, so that the file can be copied.

    Parameters
    ----------
    authority, certificate, key
        The server's authority, the user's certificate and its key, as PEM.
    """

    def embedded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CONTEXT,
                "cluster": {"server": API_SERVER, "certificate-authority-data": embedded(authority)},
            }
        ],
        "users": [
            {
                "name": CONTEXT,
                "user": {"client-certificate-data": embedded(certificate), "client-key-data": embedded(key)},
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }


def audit_policy() -> dict[str, Any]:
    """Give the audit policy: who did what to which object, for everybody but the cluster itself."""
    own = [
        "system:apiserver",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:kube-proxy",
        "system:coredns",
    ]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": own},
            {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
            {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version"]},
            {"level": "Metadata"},
        ],
    }


def containerd(places: Places) -> str:
    """Give containerd's configuration (TOML)."""
    cluster = places.cluster
    return f"""version = 2
root = "{cluster}/containerd"
state = "{cluster}/containerd-run"

[grpc]
  address = "{places.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{cluster}/containerd-opt"

[plugins."io.containerd.grpc.v1.cri"]
  # Hosts without CAP_SYS_RESOURCE cannot give a sandbox its negative score.
  restrict_oom_score_adj = true
  sandbox_image = "{pause_image.NAME}"
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{places.configuration}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def cni(places: Places) -> dict[str, Any]:
    """Give the pods' network: a bridge, without masquerading (one rule of ours does it for all pods)."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_NETWORK}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(places.cluster / "cni"),
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": ipam}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": CONTEXT, "plugins": [bridge, ports]}


def kubelet(places: Places) -> dict[str, Any]:
    """Give the kubelet's configuration."""
    pki = places.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "address": NODE_ADDRESS,
        # cgroup v1 and v2 alike, with or without systemd.
        "cgroupDriver": "cgroupfs",
        "containerRuntimeEndpoint": f"unix://{places.containerd_socket}",
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": DNS_DOMAIN,
        "failSwapOn": False,
        "maxPods": 200,
        "serializeImagePulls": False,
        # Images are loaded by hand and could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"imagefs.available": "1%", "nodefs.available": "1%"},
        "podLogsDir": str(places.cluster / "pod-logs"),
        "volumePluginDir": str(places.cluster / "volume-plugins"),
        "tlsCertFile": str(pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet.key"),
        "resolvConf": "/etc/resolv.conf",
        "registerWithTaints": [],
    }


def kube_proxy(places: Places) -> dict[str, Any]:
    """Give kube-proxy's configuration; it leaves the machine's connection tracking limits alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": NODE_ADDRESS,
        "healthzBindAddress": f"{NODE_ADDRESS}:10256",
        "metricsBindAddress": f"{NODE_ADDRESS}:10249",
        "clusterCIDR": POD_NETWORK,
        "clientConnection": {"kubeconfig": str(places.configuration / "kube-proxy.kubeconfig")},
        "hostnameOverride": NODE,
        "iptables": {"localhostNodePorts": False, "minSyncPeriod": "0s"},
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def upstream(resolv_conf: str) -> list[str]:
    """Give the name servers of a resolv.conf that can be asked on behalf of pods: not those on loopback."""
    servers = [line.split()[1] for line in resolv_conf.splitlines() if line.startswith("nameserver ")]
    return [server for server in servers if not ipaddress.ip_address(server.split("%")[0]).is_loopback]


def corefile(places: Places, servers: list[str]) -> str:
    """Give CoreDNS's configuration.

    Parameters
    ----------
    places
        Of the clone.
    servers
        Who is asked for names outside of the cluster; without any they do not exist.
    """
    forward = f"\n  forward . {' '.join(servers)}" if servers else ""
    return f""".:53 {{
  bind {NODE_ADDRESS}
  errors
  health {NODE_ADDRESS}:8080
  kubernetes {DNS_DOMAIN} in-addr.arpa ip6.arpa {{
    kubeconfig {places.configuration}/coredns.kubeconfig {CONTEXT}
    fallthrough in-addr.arpa ip6.arpa
  }}{forward}
  cache 5
}}
"""


def rbac() -> list[dict[str, Any]]:
    """Give what CoreDNS may read."""
    rules = [
        {
            "apiGroups": [""],
            "resources": ["services", "namespaces", "pods", "endpoints"],
            "verbs": ["list", "watch"],
        },
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": rules,
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "system:coredns"}],
        },
    ]


def _kubeconfig_of(places: Places, identity: str) -> str:
    files = (places.pki / name for name in ("ca.crt", f"{identity}.crt", f"{identity}.key"))
    return yaml.safe_dump(kubeconfig(*(file.read_bytes() for file in files)), sort_keys=False)


def write_secret(path: Path, content: str) -> None:
    """Write a file that nobody else may read, in one step."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(content)
    draft.replace(path)


def rendered(places: Places, resolv_conf: str) -> Mapping[str, str]:
    """Give the content of every configuration file without secrets, by its name."""
    return {
        "audit-policy.yaml": yaml.safe_dump(audit_policy()),
        "containerd.toml": containerd(places),
        "cni/10-bridge.conflist": json.dumps(cni(places), indent=2),
        "kubelet.yaml": yaml.safe_dump(kubelet(places)),
        "kube-proxy.yaml": yaml.safe_dump(kube_proxy(places)),
        "Corefile": corefile(places, upstream(resolv_conf)),
        "rbac.yaml": yaml.safe_dump_all(rbac()),
    }


def write(places: Places, resolv_conf: str) -> None:
    """Write all configuration files, the components' kubeconfigs and the administrator's."""
    for name, content in rendered(places, resolv_conf).items():
        path = places.configuration / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for identity in ("controller-manager", "scheduler", "kubelet", "kube-proxy", "coredns"):
        write_secret(places.configuration / f"{identity}.kubeconfig", _kubeconfig_of(places, identity))
    write_secret(places.kubeconfig, _kubeconfig_of(places, "admin"))
