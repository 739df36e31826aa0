"""Services of a platform with a certificate authority and a proxy of its own: S3 and Git over TLS, a forward proxy."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from hack.services.objects import secret
from hack.services.reach import Reach
from hack.services.s3 import REGION, Credentials
from hack.services.workspace import component_objects, namespace_object, secret_values
from tests.e2e import forward_proxy
from tests.e2e.private_authority import Authority
from tests.e2e.workspace import IMAGE, Workspace

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from hack.kubectl import Kubectl
    from tests.e2e.kube import Kube, Object

TRUSTED_PORT = 7070
DISTRUSTED_PORT = 7071
# No name server knows this domain: what is reached in it was reached through the proxy.
BEHIND = "behind-proxy.example"
GIT_HOST = f"git.{BEHIND}"
_TLS_PORT = 8443
_CERTIFICATES = "/certificates"
_SCRATCH = "/tmp"  # noqa: S108  the pod's own
_CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass
class PrivateServices:
    """They run in a namespace of their own; S3 listens twice, the second time with a stranger's certificate."""

    name: str
    kube: Kube
    kubectl: Kubectl
    authority: Authority = field(default_factory=lambda: Authority("the platform's"))
    _access_key: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)
    _secret_key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    _reach: Reach = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._reach = Reach(self.kubectl, self.name, "s3", TRUSTED_PORT)

    @property
    def direct(self) -> str:
        """The S3 server over TLS."""
        return f"https://{self._host('s3')}:{TRUSTED_PORT}"

    @property
    def behind_proxy(self) -> str:
        """The same server by a name that only the proxy knows."""
        return f"https://s3.{BEHIND}:{TRUSTED_PORT}"

    @property
    def distrusted(self) -> str:
        """The same server with a certificate of another authority."""
        return f"https://{self._host('s3')}:{DISTRUSTED_PORT}"

    @property
    def proxy(self) -> str:
        return f"http://{self._host('proxy')}:{forward_proxy.PORT}"

    def asked(self) -> set[str]:
        """What the proxy was asked for up to now."""
        done = self.kube.kubectl("-n", self.name, "logs", "proxy")
        assert done.returncode == 0, done.stderr
        return set(done.stdout.splitlines())

    def start(self, git: str) -> None:
        """Make the pods; ``git`` is the host:port of the Git server that the proxy leads to."""
        services = [
            _service(self.name, "s3", [TRUSTED_PORT, DISTRUSTED_PORT]),
            _service(self.name, "proxy", [forward_proxy.PORT]),
        ]
        self.kubectl.apply([namespace_object(self.name), *services])
        keys = {"ROOT_ACCESS_KEY": self._access_key, "ROOT_SECRET_KEY": self._secret_key}
        code = {"forward_proxy.py": Path(forward_proxy.__file__).read_text(encoding="utf-8")}
        self.kubectl.apply(
            [
                secret(self.name, "certificates", self._certificates()),
                secret(self.name, "s3-root", keys),
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._metadata("code"), "data": code},
                self._s3_pod(),
                self._proxy_pod(git),
            ]
        )

    def until_ready(self) -> None:
        pods = ("pod/s3", "pod/proxy")
        self.kubectl.run("-n", self.name, "wait", "--for=condition=Ready", "--timeout=60s", *pods)

    def stop(self) -> None:
        self.kube.delete("Namespace", "", self.name)

    def open_workspace(self, name: str, endpoint: str, trusted: Path) -> Workspace:
        """Make a workspace with a bucket of its name, whose Secret names this endpoint."""
        s3 = self._client(trusted)
        s3.create_bucket(Bucket=name)
        credentials = Credentials(self._access_key, self._secret_key, endpoint, REGION, name)
        access = secret(name, f"{name}-datalab", secret_values(credentials))
        self.kubectl.apply([namespace_object(name), access, *component_objects(name)])
        return Workspace(name, self.kube, s3)

    def _client(self, trusted: Path) -> S3Client:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self._reach.address().replace("http:", "https:"),
            verify=str(trusted),
            region_name=REGION,
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def _host(self, service: str) -> str:
        return f"{service}.{self.name}.svc.cluster.local"

    def _metadata(self, name: str) -> Object:
        return {"name": name, "namespace": self.name, "labels": {"app": name}}

    def _certificates(self) -> dict[str, str]:
        addresses = ["127.0.0.1", self._reach.cluster_ip()]
        hosts = [self._host("s3"), f"s3.{BEHIND}", GIT_HOST]
        trusted, trusted_key = self.authority.issue(hosts, addresses)
        other, other_key = Authority("a stranger's").issue(hosts, addresses)
        return {
            "trusted.crt": trusted, "trusted.key": trusted_key, "other.crt": other, "other.key": other_key,
        }  # fmt: skip

    def _s3_pod(self) -> Object:
        containers = [
            self._versitygw("trusted", TRUSTED_PORT),
            self._versitygw("other", DISTRUSTED_PORT),
        ]
        return self._pod("s3", containers, [{"name": "buckets", "emptyDir": {}}])

    def _versitygw(self, certificate: str, port: int) -> Object:
        tls = [f"--cert={_CERTIFICATES}/{certificate}.crt", f"--key={_CERTIFICATES}/{certificate}.key"]
        probe = {"httpGet": {"path": "/healthz", "port": port, "scheme": "HTTPS"}, "periodSeconds": 1}
        return {
            "name": certificate,
            "image": "localhost/versitygw:1",
            "args": [
                f"--port=:{port}", f"--region={REGION}", "--health=/healthz", "--quiet", *tls, "posix", "/buckets"
            ],
            "envFrom": [{"secretRef": {"name": "s3-root"}}],
            "readinessProbe": probe,
            "volumeMounts": [{"name": "buckets", "mountPath": "/buckets"}],
        }  # fmt: skip

    def _proxy_pod(self, git: str) -> Object:
        tunnels = {
            f"s3.{BEHIND}:{TRUSTED_PORT}": f"{self._host('s3')}:{TRUSTED_PORT}",
            f"{GIT_HOST}:443": f"127.0.0.1:{_TLS_PORT}",
        }
        routes = json.dumps({"tunnels": tunnels, "listeners": {str(_TLS_PORT): git}})
        container = {
            "name": "proxy",
            "image": IMAGE,
            "command": ["python", "/code/forward_proxy.py", routes],
            "readinessProbe": {"tcpSocket": {"port": forward_proxy.PORT}, "periodSeconds": 1},
            "volumeMounts": [{"name": "code", "mountPath": "/code"}],
        }
        return self._pod("proxy", [container], [{"name": "code", "configMap": {"name": "code"}}])

    def _pod(self, name: str, containers: list[Object], volumes: list[Object]) -> Object:
        certificates = {"name": "certificates", "secret": {"secretName": "certificates"}}
        shared = [
            {"name": "certificates", "mountPath": _CERTIFICATES},
            {"name": "tmp", "mountPath": _SCRATCH},
        ]
        common: dict[str, Any] = {
            "securityContext": _CONFINED,
            "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        }
        spec = {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [c | common | {"volumeMounts": [*c["volumeMounts"], *shared]} for c in containers],
            "volumes": [certificates, {"name": "tmp", "emptyDir": {}}, *volumes],
        }  # fmt: skip
        return {"apiVersion": "v1", "kind": "Pod", "metadata": self._metadata(name), "spec": spec}


def _service(namespace: str, name: str, ports: list[int]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"name": f"p{port}", "port": port} for port in ports]},
    }
