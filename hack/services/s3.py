"""The S3 server: buckets that only their user sees, and what can go wrong with them on purpose."""

import secrets
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import boto3
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as SigningCredentials
from tenacity import Retrying, stop_after_attempt, wait_fixed

from hack.cluster.errors import ClusterError
from hack.kubectl import Kubectl
from hack.services.objects import decoded
from hack.services.reach import Reach

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAMESPACE = "mlops-demo"
REGION = "us-east-1"
PORT = 7070
ROOT_SECRET = "s3-root"  # noqa: S105  the Secret's name
# How long a server may take to come up or to go, in seconds.
PATIENCE_SECONDS = 300.0
REQUEST_SECONDS = 10.0
REFUSED_FROM = 400


@dataclass(frozen=True)
class Credentials:
    """A user's access to one bucket; the endpoint is the one that pods use."""

    access_key: str
    secret_key: str = field(repr=False)
    endpoint: str
    region: str
    bucket: str


@dataclass(frozen=True)
class S3Service:
    """A versitygw in the cluster, with its administrator's rights.

    Attributes
    ----------
    name
        Its Deployment and Service in the namespace mlops-demo: `s3`, or `s3-small`, whose disk holds 16 MiB.
    """

    kubectl: Kubectl
    name: str
    reach: Reach
    root_access_key: str
    root_secret_key: str = field(repr=False)

    @property
    def endpoint(self) -> str:
        """The endpoint that pods use."""
        return f"http://{self.name}.{NAMESPACE}.svc.cluster.local:{PORT}"

    @property
    def host_endpoint(self) -> str:
        """The endpoint that this machine uses; it may change after the server was restarted."""
        return self.reach.address()

    def client(self, credentials: Credentials) -> "S3Client":
        """Give a client on this machine with a user's rights."""
        return self._client(credentials.access_key, credentials.secret_key)

    def root_client(self) -> "S3Client":
        """Give a client on this machine that may do everything."""
        return self._client(self.root_access_key, self.root_secret_key)

    def create_workspace_bucket(self, name: str) -> Credentials:
        """Make a bucket and a user who owns it and sees no other; a bucket that exists stays, with new keys.

        Raises
        ------
        ClusterError
            If the server refuses.
        """
        if name in self.owners():
            return self.roll_over_credentials(name)
        credentials = self._create_user(name)
        self._administer(f"/{name}/create", headers={"x-vgw-owner": credentials.access_key})
        return credentials

    def roll_over_credentials(self, name: str) -> Credentials:
        """Give new keys to a bucket; the old ones are refused when this returns.

        Raises
        ------
        ClusterError
            If there is no such bucket, or the server refuses.
        """
        old = self.owners().get(name)
        if old is None:
            raise ClusterError(f"The S3 server {self.name} has no bucket {name}.")
        new = self._create_user(name)
        self._administer("/change-bucket-owner/", {"bucket": name, "owner": new.access_key})
        if old != self.root_access_key:
            self._administer("/delete-user", {"access": old})
        return new

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket with all that is in it, and its user; nothing happens if there is none."""
        owner = self.owners().get(name)
        if owner is None:
            return
        if owner != self.root_access_key:
            # First, so that nobody writes any more while it is emptied.
            self._administer("/change-bucket-owner/", {"bucket": name, "owner": self.root_access_key})
            self._administer("/delete-user", {"access": owner})
        for attempt in Retrying(stop=stop_after_attempt(5), wait=wait_fixed(1), reraise=True):
            with attempt:
                self._empty(name)
                self.root_client().delete_bucket(Bucket=name)

    def _empty(self, name: str) -> None:
        client = self.root_client()
        for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=name):
            for upload in page.get("Uploads", []):
                client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
        for contents in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for found in contents.get("Contents", []):
                client.delete_object(Bucket=name, Key=found["Key"])

    def owners(self) -> dict[str, str]:
        """Give bucket → access key of its owner, for all buckets."""
        answer = ET.fromstring(self._administer("/list-buckets"))  # noqa: S314  our own server's answer
        return {
            bucket.findtext("Name", ""): bucket.findtext("Owner", "")
            for bucket in answer.iter("Buckets")
            if bucket.findtext("Name")
        }

    def scale(self, replicas: int) -> None:
        """Stop the server with 0, start it with 1; when this returns it is gone, or answers.

        What it stores survives, but for `s3-small`, which then starts empty.

        Raises
        ------
        ClusterError
            If it does not come up within five minutes.
        """
        where = ("--namespace", NAMESPACE)
        self.kubectl.run(*where, "scale", f"deployment/{self.name}", f"--replicas={replicas}")
        if replicas:
            self.kubectl.run(
                *where, "rollout", "status", f"deployment/{self.name}", f"--timeout={PATIENCE_SECONDS:.0f}s"
            )
            self._wait_until_it_answers()
        else:
            self.kubectl.run(
                *where,
                "wait",
                "--for=delete",
                "pod",
                f"--selector=app={self.name}",
                f"--timeout={PATIENCE_SECONDS:.0f}s",
            )

    def _wait_until_it_answers(self) -> None:
        # A ready pod is behind the Service's address a moment later, when kube-proxy has heard of it.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.owners()
            except (urllib3.exceptions.HTTPError, ClusterError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def _client(self, access_key: str, secret_key: str) -> "S3Client":
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.host_endpoint,
            region_name=REGION,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def _create_user(self, bucket: str) -> Credentials:
        access_key = f"{bucket}-{secrets.token_hex(4)}"
        secret_key = secrets.token_urlsafe(30)
        account = ET.Element("Account")
        fields = {"Access": access_key, "Secret": secret_key, "Role": "user"}
        for tag, text in (fields | {"UserID": "0", "GroupID": "0", "ProjectID": "0"}).items():
            ET.SubElement(account, tag).text = text
        self._administer("/create-user", body=ET.tostring(account))
        return Credentials(access_key, secret_key, self.endpoint, REGION, bucket)

    def _administer(
        self,
        path: str,
        query: dict[str, str] | None = None,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """Call the administration interface: a signed PATCH, as `versitygw admin` sends it."""
        address = f"{self.host_endpoint}{path}" + (f"?{urlencode(query)}" if query else "")
        request = AWSRequest("PATCH", address, data=body, headers=headers or {})
        request.headers["X-Amz-Content-SHA256"] = sha256(body).hexdigest()
        signing = SigningCredentials(self.root_access_key, self.root_secret_key)
        S3SigV4Auth(signing, "s3", REGION).add_auth(request)
        answer = urllib3.request(
            "PATCH",
            address,
            body=body,
            headers=dict(request.headers.items()),
            timeout=REQUEST_SECONDS,
            retries=False,
        )
        if answer.status >= REFUSED_FROM:
            said = answer.data.decode(errors="replace")[:500]
            raise ClusterError(f"The S3 server {self.name} refused {path} with {answer.status}: {said}")
        return answer.data


def connect_s3(kubeconfig: Path, name: str = "s3") -> S3Service:
    """Give the S3 server of the demo.

    Raises
    ------
    ClusterError
        If it is not installed.
    """
    kubectl = Kubectl(kubeconfig)
    secret = kubectl.get("secret", ROOT_SECRET, NAMESPACE)
    if secret is None:
        raise ClusterError("The demo's services are not installed: run `make services`.")
    keys = decoded(secret)
    reach = Reach(kubectl, NAMESPACE, name, PORT)
    return S3Service(kubectl, name, reach, keys["ROOT_ACCESS_KEY"], keys["ROOT_SECRET_KEY"])
