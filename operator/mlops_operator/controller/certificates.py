"""The operator's own certificate authority, and the certificate of the progress endpoint that it signs.

Both are in a Secret of the operator's namespace, so that a restart changes nothing for pods that trust them. The
certificate is renewed a third of its life before it ends; the authority two years before, and the old one stays in
the bundle beside it: a pod that was made before the change goes on.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mlops_operator.controller.kube import SECRETS, Resource
from mlops_operator.controller.transport import AlreadyExists, Conflict, NotFound, Object

log = logging.getLogger(__name__)

SECRET_NAME: Final = "mlops-operator-progress"  # noqa: S105 - a name
CA_LIFE: Final = timedelta(days=3650)
CA_LEFT: Final = timedelta(days=730)
SERVING_LIFE: Final = timedelta(days=90)
SERVING_LEFT: Final = timedelta(days=30)
_SKEW: Final = timedelta(hours=1)  # clocks of nodes differ


class SecretCalls(Protocol):
    """The calls of ``kube.Kube`` on the operator's own Secret."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...
    async def post(self, resource: Resource, namespace: str, body: Object) -> Object: ...
    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object: ...


@dataclass(frozen=True)
class Certificates:
    """PEM texts. ``ca_bundle`` is what pods trust: the authority, and a former one that is still valid."""

    ca_bundle: bytes
    ca_key: bytes
    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Certificates(…)"

    def to_data(self) -> dict[str, str]:
        """As the ``data`` of a Secret."""
        values = {
            "ca.crt": self.ca_bundle,
            "ca.key": self.ca_key,
            "tls.crt": self.certificate,
            "tls.key": self.key,
        }
        return {name: base64.b64encode(value).decode() for name, value in values.items()}

    @classmethod
    def from_data(cls, data: Mapping[str, str]) -> Certificates | None:
        """Read the ``data`` of a Secret; None if it is not complete."""
        try:
            values = [base64.b64decode(data[name]) for name in ("ca.crt", "ca.key", "tls.crt", "tls.key")]
        except (KeyError, ValueError):
            return None
        return cls(*values)


def renewed(known: Certificates | None, hosts: Sequence[str], now: datetime) -> Certificates:
    """Give certificates that are good for a while; the same object if the known ones are."""
    if known is None:
        ca_certificate, ca_key = _authority(now)
        former: list[x509.Certificate] = []
    else:
        bundle = x509.load_pem_x509_certificates(known.ca_bundle)
        ca_certificate, former = bundle[0], [old for old in bundle[1:] if old.not_valid_after_utc > now]
        ca_key = _load_key(known.ca_key)
        if ca_certificate.not_valid_after_utc - now < CA_LEFT:
            former = [ca_certificate, *former]
            ca_certificate, ca_key = _authority(now)
        elif _is_good(x509.load_pem_x509_certificate(known.certificate), ca_certificate, hosts, now):
            return known
    certificate, key = _serving(ca_certificate, ca_key, hosts, now)
    return Certificates(
        ca_bundle=b"".join(_pem(entry) for entry in (ca_certificate, *former)),
        ca_key=_key_pem(ca_key),
        certificate=_pem(certificate),
        key=_key_pem(key),
    )


class CertificateKeeper:
    """Keeps the Secret good; only the leader uses it."""

    def __init__(
        self,
        kube: SecretCalls,
        namespace: str,
        hosts: Sequence[str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._hosts = hosts
        self._now = now

    async def load(self) -> Certificates:
        """Read the Secret, make or renew what it lacks, and give what is in it then.

        Raises
        ------
        KubeError
            The Secret can be neither read nor written.
        """
        while True:
            try:
                secret = await self._kube.get(SECRETS, self._namespace, SECRET_NAME)
            except NotFound:
                secret = None
            known = Certificates.from_data((secret or {}).get("data") or {})
            wanted = renewed(known, self._hosts, self._now())
            if wanted is known:
                return wanted
            try:
                await self._write(secret, wanted)
            except (Conflict, AlreadyExists):
                continue  # another one wrote it: that one counts
            log.info("renewed the certificate of the progress endpoint")
            return wanted

    async def _write(self, secret: Object | None, wanted: Certificates) -> None:
        if secret is None:
            body: Object = {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "Opaque",
                "metadata": {"name": SECRET_NAME, "namespace": self._namespace},
                "data": wanted.to_data(),
            }
            await self._kube.post(SECRETS, self._namespace, body)
        else:
            body = secret | {"data": (secret.get("data") or {}) | wanted.to_data()}
            await self._kube.replace(SECRETS, self._namespace, SECRET_NAME, body)


def _authority(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mlops-operator")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key, now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _serving(
    ca_certificate: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, hosts: Sequence[str], now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mlops-operator progress endpoint")])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(name, ca_certificate.subject, key, now, SERVING_LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return certificate, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _is_good(
    certificate: x509.Certificate, ca_certificate: x509.Certificate, hosts: Sequence[str], now: datetime
) -> bool:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        certificate.not_valid_after_utc - now > SERVING_LEFT
        and _is_signed_by(certificate, ca_certificate)
        and set(names) == {_general_name(host) for host in hosts}
    )


def _is_signed_by(certificate: x509.Certificate, ca_certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca_certificate)
    except (ValueError, InvalidSignature):
        return False
    return True


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the Secret's ca.key is not the one that we wrote")
    return key
