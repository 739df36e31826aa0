"""Certificates that all programs of the pod trust: the image's own roots and those of the platform."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mlops_operator.agent.places import Places, write_whole

BUNDLE = "/mlops/bin/ca-bundle.crt"
_SYSTEM_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")
_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO")


def write_bundle(places: Places, environment: Mapping[str, str]) -> str | None:
    """Write the bundle where the platform has certificates of its own, and trust it in this process too.

    Returns
    -------
    str or None
        Path of the bundle.
    """
    own = environment.get("MLOPS_CA_BUNDLE", "").strip()
    if not own:
        return None
    roots = _SYSTEM_ROOTS.read_text(encoding="utf-8") if _SYSTEM_ROOTS.is_file() else ""
    bundle = places.path(BUNDLE)
    write_whole(bundle, f"{roots.rstrip()}\n{own}\n".lstrip().encode())
    os.environ.update(dict.fromkeys(_VARIABLES, str(bundle)))
    return str(bundle)
