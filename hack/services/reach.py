"""How this machine reaches a Service of the cluster."""

import atexit
import re
import socket
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field

from hack.cluster.errors import ClusterError
from hack.kubectl import Kubectl

CONNECT_SECONDS = 1.0
FORWARD_SECONDS = 15.0
FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")


def answers(host: str, port: int) -> bool:
    """Tell whether something listens at an address."""
    with suppress(OSError), socket.create_connection((host, port), CONNECT_SECONDS):
        return True
    return False


@dataclass
class Reach:
    """A Service as seen from this machine: by its own address where that is routed here, else by a port-forward.

    A port-forward ends with the pod that it leads to: ask for the address before each use.
    """

    kubectl: Kubectl
    namespace: str
    service: str
    port: int
    _routed: bool = field(default=False, init=False)
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _forwarded: int | None = field(default=None, init=False)

    def cluster_ip(self) -> str:
        """Give the Service's own address.

        Raises
        ------
        ClusterError
            If there is no such Service.
        """
        service = self.kubectl.get("service", self.service, self.namespace)
        if service is None:
            raise ClusterError(f"There is no Service {self.namespace}/{self.service}: run `make services`.")
        return str(service["spec"]["clusterIP"])

    def address(self) -> str:
        """Give `http://host:port` for use on this machine.

        Raises
        ------
        ClusterError
            If the Service does not exist or a port-forward does not come up.
        """
        host = self.cluster_ip()
        # A server that is down answers nobody: what was routed once stays routed, a no is asked again.
        self._routed = self._routed or answers(host, self.port)
        if self._routed:
            return f"http://{host}:{self.port}"
        if self._process is None or self._process.poll() is not None:
            self._forwarded = self._forward()
        return f"http://127.0.0.1:{self._forwarded}"

    def _forward(self) -> int:
        command = self.kubectl.command(
            "--namespace", self.namespace, "port-forward", f"service/{self.service}", f":{self.port}"
        )
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        atexit.register(self.close)
        # readline has no time limit of its own.
        guard = threading.Timer(FORWARD_SECONDS, self._process.kill)
        guard.start()
        output = self._process.stdout
        line = output.readline() if output else ""
        guard.cancel()
        if found := FORWARDING.match(line):
            return int(found.group(1))
        self.close()
        raise ClusterError(f"kubectl port-forward to {self.namespace}/{self.service} failed: {line.strip()}")

    def close(self) -> None:
        """End the port-forward, if there is one."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            if self._process.stdout:
                self._process.stdout.close()
            self._process = None
