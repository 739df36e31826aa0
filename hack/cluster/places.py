"""Where things lie: the clone's state folder, the shared cache of built things, the addresses of the cluster."""

import os
from dataclasses import dataclass
from pathlib import Path

NODE = "mlops-local"
CONTEXT = "mlops-local"
BRIDGE = "mlops0"
NODE_ADDRESS = "10.244.0.1"
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
DNS_DOMAIN = "cluster.local"
API_SERVER = f"https://{NODE_ADDRESS}:6443"
ETCD_CLIENT = "http://127.0.0.1:2389"
ETCD_PEER = "http://127.0.0.1:2390"

# One cluster per machine: its lock and its undo record lie outside of every clone.
MACHINE = Path("/run/mlops-operator")
RECORD = MACHINE / "cluster.json"
LOCK = MACHINE / "cluster.lock"

CLONE = Path(__file__).resolve().parents[2]


def cache() -> Path:
    """Give the folder of built things that all clones of this user share."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mlops-operator" / "bin"


@dataclass(frozen=True)
class Places:
    """The paths of one clone's cluster."""

    clone: Path

    @property
    def state(self) -> Path:
        """Everything of this clone that Git ignores."""
        return self.clone / ".state"

    @property
    def cluster(self) -> Path:
        """The running cluster; wiped when it goes down."""
        return self.state / "cluster"

    @property
    def bin(self) -> Path:
        """Links to the built programs."""
        return self.state / "bin"

    @property
    def share(self) -> Path:
        """Links to the built programs' data folders."""
        return self.state / "share"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log; it outlives the cluster until the next one starts."""
        return self.state / "audit" / "audit.log"

    @property
    def log(self) -> Path:
        """One file for each component."""
        return self.cluster / "log"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.cluster / "pki"

    @property
    def configuration(self) -> Path:
        """The components' rendered configuration files."""
        return self.cluster / "etc"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd answers; shims carry it on their command line."""
        return self.cluster / "containerd.sock"

    @property
    def processes(self) -> Path:
        """What the supervision process knows about the components, rewritten at each change."""
        return self.cluster / "processes.json"


HERE = Places(CLONE)
