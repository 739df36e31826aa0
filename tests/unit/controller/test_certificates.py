"""Certificates: made once, renewed in time, and trusted over a change of the authority."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

from cryptography import x509

from mlops_operator.controller import servers
from mlops_operator.controller.certificates import (
    CA_LEFT,
    CA_LIFE,
    SERVING_LEFT,
    SERVING_LIFE,
    Certificates,
    renewed,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
HOSTS = ["mlops-operator.mlops-system.svc", "10.0.0.1"]


def bundle(certificates: Certificates) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(certificates.ca_bundle)


def test_good_certificates_stay() -> None:
    first = renewed(None, HOSTS, NOW)
    assert renewed(first, HOSTS, NOW + SERVING_LIFE - SERVING_LEFT - timedelta(days=1)) is first


def test_the_certificate_is_renewed_before_its_end_by_the_same_authority() -> None:
    first = renewed(None, HOSTS, NOW)
    second = renewed(first, HOSTS, NOW + SERVING_LIFE - SERVING_LEFT)
    assert second.ca_bundle == first.ca_bundle
    assert second.certificate != first.certificate
    x509.load_pem_x509_certificate(second.certificate).verify_directly_issued_by(bundle(first)[0])


def test_another_name_of_the_service_renews() -> None:
    first = renewed(None, HOSTS, NOW)
    assert renewed(first, ["other.svc"], NOW).certificate != first.certificate


def test_a_former_authority_stays_in_the_bundle_until_it_ends() -> None:
    first = renewed(None, HOSTS, NOW)
    second = renewed(first, HOSTS, NOW + CA_LIFE - CA_LEFT + timedelta(days=1))
    assert bundle(second)[1:] == bundle(first)
    x509.load_pem_x509_certificate(second.certificate).verify_directly_issued_by(bundle(second)[0])
    third = renewed(second, HOSTS, NOW + CA_LIFE + timedelta(days=1))
    assert bundle(third) == bundle(second)[:1]


def test_a_secret_holds_them_and_their_repr_does_not() -> None:
    first = renewed(None, HOSTS, NOW)
    assert Certificates.from_data(first.to_data()) == first
    assert Certificates.from_data({}) is None
    assert "PRIVATE" not in repr(first)


def test_a_client_that_trusts_the_bundle_accepts_the_server() -> None:
    certificates = renewed(None, ["localhost"], datetime.now(UTC))
    server = servers.server_context()
    servers.use(server, certificates)
    client = ssl.create_default_context(cadata=certificates.ca_bundle.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].version() in {"TLSv1.2", "TLSv1.3"}
