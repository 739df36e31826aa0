"""Numbers of model versions: each is taken once, by a write-once claim, before any file is there.

An owner that asks for "the next integer" leaves a note of each number that it is about to try, below
``mlops/models/<model>/_claims/<owner>/`` (no version begins with an underscore). So it finds its number again after a
crash at any instant. The order makes it safe for racing processes that ask for the same owner: the numbers taken are
listed *before* the owner's notes. Whoever sees a number of this owner as taken, and would go on to the next one, is
sure to see the note that preceded it.
"""

from __future__ import annotations

from datetime import datetime

from mlops_operator.api.wire import VersionClaim
from mlops_operator.errors import AlreadyExists, IntegrityError
from mlops_operator.storage.documents import encode, read_document
from mlops_operator.storage.layout import claim_key, claim_note_key, claim_notes_prefix, model_prefix
from mlops_operator.storage.objects import Objects


def claim_version(bucket: Objects, model: str, version: str | None, owner: str, now: datetime) -> str:
    """Take a version of a model for an owner (a uid), for ever; the next free integer if ``version`` is None.

    The same owner with the same wish gets the same version again.

    Raises
    ------
    AlreadyExists
        ``version`` belongs to another owner.
    """
    if version is None:
        return _next_integer(bucket, model, owner, now)
    if _take(bucket, VersionClaim(model=model, version=version, owner=owner, claimed_at=now)):
        return version
    raise AlreadyExists(
        f"version {version} of model {model} is taken, and versions are never used twice, not even after deletion;"
        " ask for another one, or leave the version out to get the next integer"
    )


def _next_integer(bucket: Objects, model: str, owner: str, now: datetime) -> str:
    while True:
        number = 1 + max(_integers(bucket, model), default=0)
        earlier = _earlier(bucket, model, owner)
        if earlier is not None:
            return earlier
        version = str(number)
        bucket.put_bytes(claim_note_key(model, owner, version), b"{}")
        if _take(bucket, VersionClaim(model=model, version=version, owner=owner, claimed_at=now)):
            return version


def _integers(bucket: Objects, model: str) -> list[int]:
    folders = bucket.list_folders(model_prefix(model))
    return [int(name) for name in folders if name.isascii() and name.isdigit()]


def _earlier(bucket: Objects, model: str, owner: str) -> str | None:
    prefix = claim_notes_prefix(model, owner)
    versions = [note.key.removeprefix(prefix) for note in bucket.list(prefix)]
    return next((version for version in versions if _owner(bucket, model, version) == owner), None)


def _take(bucket: Objects, claim: VersionClaim) -> bool:
    try:
        bucket.put_once(claim_key(claim.model, claim.version), encode(claim))
    except AlreadyExists:
        return _owner(bucket, claim.model, claim.version) == claim.owner
    return True


def _owner(bucket: Objects, model: str, version: str) -> str | None:
    found = read_document(bucket, claim_key(model, version), VersionClaim)
    if found is None:
        return None
    claim = found[0]
    if (claim.model, claim.version) != (model, version):
        raise IntegrityError(
            f"s3://{bucket.name}/{claim_key(model, version)} claims {claim.model} {claim.version}"
        )
    return claim.owner
