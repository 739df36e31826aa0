"""What the components are configured with."""

import base64
import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from hack.cluster import build, components, configuration, pki
from hack.cluster.places import NODE_ADDRESS, Places

PLACES = Places(Path("/srv/clone"))


def test_every_rendered_file_parses() -> None:
    files = configuration.rendered(PLACES, "nameserver 192.0.2.53\n")
    containerd = tomllib.loads(files["containerd.toml"])
    cri = containerd["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["restrict_oom_score_adj"] is True
    assert cri["netns_mounts_under_state_dir"] is True
    assert yaml.safe_load(files["kubelet.yaml"])["cgroupDriver"] == "cgroupfs"
    assert json.loads(files["cni/10-bridge.conflist"])["plugins"][0]["bridge"] == "mlops0"
    assert yaml.safe_load(files["audit-policy.yaml"])["rules"][-1] == {"level": "Metadata"}


def test_everything_that_is_written_lies_below_the_clone() -> None:
    files = configuration.rendered(PLACES, "")
    named = {word for content in files.values() for word in re.findall(r"/(?:var|run|tmp)/\S+", content)}
    assert not named


@pytest.mark.parametrize(
    ("resolv_conf", "servers"),
    [
        ("", []),
        ("search example.org\nnameserver 192.0.2.53\n", ["192.0.2.53"]),
        ("nameserver 127.0.0.53\n", []),
        ("nameserver ::1\nnameserver fe80::1%eth0\n", ["fe80::1%eth0"]),
    ],
)
def test_name_servers_on_loopback_are_not_asked_for_pods(resolv_conf: str, servers: list[str]) -> None:
    assert configuration.upstream(resolv_conf) == servers
    assert ("forward" in configuration.corefile(PLACES, servers)) == bool(servers)


def test_the_kubeconfig_carries_its_certificates() -> None:
    content = configuration.kubeconfig(b"authority", b"certificate", b"key")
    assert content["current-context"] == "mlops-local"
    user = content["users"][0]["user"]
    assert base64.b64decode(user["client-key-data"]) == b"key"
    assert base64.b64decode(user["client-certificate-data"]) == b"certificate"


def test_certificates_are_signed_and_keys_are_private(tmp_path: Path) -> None:
    pki.create(tmp_path)
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    for identity in pki.IDENTITIES:
        certificate = x509.load_pem_x509_certificate((tmp_path / f"{identity.file}.crt").read_bytes())
        certificate.verify_directly_issued_by(authority)
    server = x509.load_pem_x509_certificate((tmp_path / "apiserver.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert NODE_ADDRESS in map(str, names.get_values_for_type(x509.IPAddress))
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("*.key")} == {0o600}


def test_every_component_waits_only_for_those_before_it() -> None:
    seen: set[str] = set()
    for part in components.components(PLACES):
        assert set(part.after) <= seen
        seen.add(part.name)


def test_the_fingerprint_changes_with_commands_files_and_builds() -> None:
    parts = components.components(PLACES)
    first = components.fingerprint(parts, ["a"], ["b"])
    other = (replace(parts[0], command=("etcd", "--other")), *parts[1:])
    assert first == components.fingerprint(parts, ["a"], ["b"])
    assert first not in {
        components.fingerprint(other, ["a"], ["b"]),
        components.fingerprint(parts, ["c"], ["b"]),
        components.fingerprint(parts, ["a"], ["c"]),
    }


def test_the_key_of_a_build_changes_with_version_and_flags() -> None:
    target = build.TARGETS[0]
    keys = {
        target.key(),
        replace(target, version="v0").key(),
        replace(target, ldflags="").key(),
        replace(target, cgo=True).key(),
    }
    assert len(keys) == 4
    assert target.key() == replace(target).key()


def test_every_target_asks_for_the_version_that_its_go_mod_pins() -> None:
    for target in build.TARGETS:
        text = (build.MODULES / target.name / "go.mod").read_text()
        assert re.search(rf"\b{re.escape(target.module)} {re.escape(target.version)}\b", text), target.name
