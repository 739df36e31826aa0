"""The image that holds a pod's namespaces: one static program, packed without pulling anything."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

NAME = "localhost/pause:1"
# Packed under a fixed time and owner, the same program gives the same image.
EPOCH = "1970-01-01T00:00:00Z"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _descriptor(kind: str, content: bytes, **more: Any) -> dict[str, Any]:
    media = f"application/vnd.oci.image.{kind}"
    return {"mediaType": media, "digest": f"sha256:{_digest(content)}", "size": len(content), **more}


def pack(program: bytes, target: Path) -> None:
    """Write an OCI archive of an image that runs `program`.

    Parameters
    ----------
    program
        A static Linux executable for amd64.
    target
        The archive to write; its image is called `localhost/pause:1`.
    """
    layer_file = io.BytesIO()
    with tarfile.open(fileobj=layer_file, mode="w") as layer_archive:
        _add(layer_archive, "pause", program, 0o755)
    layer = layer_file.getvalue()
    config = json.dumps(
        {
            "created": EPOCH,
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("config.v1+json", config),
            "layers": [_descriptor("layer.v1.tar", layer)],
        }
    ).encode()
    names = {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": NAME}
    index = {
        "schemaVersion": 2,
        "manifests": [_descriptor("manifest.v1+json", manifest, annotations=names)],
    }
    with tarfile.open(target, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for blob in (layer, config, manifest):
            _add(archive, f"blobs/sha256/{_digest(blob)}", blob)
