"""The workspace's STAC catalogue: items, and collections that are rebuilt from them.

``stac/catalog.json`` → ``stac/collections/<collection>/collection.json`` → ``…/items/<id>.json``, with relative links.
Items are written one by one; a collection is made anew from the listing of its items, by one process at a time (read,
change and write of one ``collection.json`` by several loses links).
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mlops_operator.errors import AlreadyExists, IntegrityError, ObjectNotFound
from mlops_operator.storage.digest import canonical_json
from mlops_operator.storage.geometry import WORLD, union
from mlops_operator.storage.items import OWNER, STAC_VERSION, Item
from mlops_operator.storage.layout import (
    CATALOG_KEY,
    DATASET_COLLECTION,
    MODEL_COLLECTION,
    collection_key,
    item_key,
    items_prefix,
)
from mlops_operator.storage.objects import Objects

_JSON = "application/json"
_GEOJSON = "application/geo+json"
_REMEMBERED_ITEMS = 20_000
_MAX_SUMMARY = 64
# Item property → name in the collection's summaries. The ml-model names are not allowed in items; portals read them here.
_SUMMARIES = {
    "mlm:framework": ("mlm:framework", "ml-model:framework"),
    "mlm:framework_version": ("mlm:framework_version", "ml-model:framework-version"),
    "mlm:architecture": ("mlm:architecture",),
    "mlm:tasks": ("mlm:tasks",),
    "mlm:name": ("mlm:name",),
    "mlops:name": ("mlops:name",),
}
_TITLES = {
    MODEL_COLLECTION: ("Models", "Models that were trained in this workspace."),
    DATASET_COLLECTION: ("Datasets", "Versions of the training data of this workspace."),
}


@dataclass(frozen=True)
class _Facts:
    """What a collection says of one item."""

    item_id: str
    title: str
    licence: str
    bbox: tuple[float, ...]
    start: str | None
    end: str | None
    summaries: tuple[tuple[str, tuple[str, ...]], ...]
    keywords: tuple[str, ...]


class Catalogue:
    """Writes the catalogues of all workspaces; one instance per process, safe to use from several threads.

    It remembers what it read of an item by the item's ETag, so that a rebuild costs a listing and the new items.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, threading.Lock] = {}
        self._facts: OrderedDict[tuple[str, str, str], _Facts] = OrderedDict()

    def publish(self, bucket: Objects, collection: str, item: Item, *, workspace: str) -> str:
        """Write an item, or replace it where it changed, and rebuild the catalogue. Gives the item's key.

        ``created`` stays what it was, and ``updated`` too where nothing else changed.

        Raises
        ------
        AlreadyExists
            An item of that id is another's.
        """
        key = item_key(collection, item["id"])
        with self._writing(bucket):
            standing = _read(bucket, key)
            if standing is not None:
                _check_owner(standing, item, f"s3://{bucket.name}/{key}")
                item = _keep_times(item, standing)
            if item != standing:
                bucket.put_bytes(key, canonical_json(item))
            self._rebuild(bucket, workspace)
        return key

    def withdraw(self, bucket: Objects, collection: str, item_id: str, *, workspace: str) -> None:
        """Remove an item of the workspace and rebuild the catalogue; nothing happens where there is none.

        Raises
        ------
        AlreadyExists
            The item is another's.
        """
        key = item_key(collection, item_id)
        with self._writing(bucket):
            standing = _read(bucket, key)
            if standing is not None:
                _check_owner(standing, {"properties": {OWNER: workspace}}, f"s3://{bucket.name}/{key}")
                bucket.delete(key)
            self._rebuild(bucket, workspace)

    def rebuild(self, bucket: Objects, *, workspace: str) -> None:
        """Make collections and catalogue anew from the items that are there; writes only what changed."""
        with self._writing(bucket):
            self._rebuild(bucket, workspace)

    def _writing(self, bucket: Objects) -> threading.Lock:
        with self._lock:
            return self._buckets.setdefault(bucket.name, threading.Lock())

    def _rebuild(self, bucket: Objects, workspace: str) -> None:
        present = []
        for collection in (MODEL_COLLECTION, DATASET_COLLECTION):
            facts = self._read_all(bucket, collection)
            if facts or bucket.head(collection_key(collection)) is not None:
                _write_changed(bucket, collection_key(collection), _collection(collection, facts))
                present.append(collection)
        _write_changed(bucket, CATALOG_KEY, _root(workspace, present))

    def _read_all(self, bucket: Objects, collection: str) -> list[_Facts]:
        found = []
        for entry in bucket.list(items_prefix(collection)):
            if not entry.key.endswith(".json"):
                continue
            known = (bucket.name, entry.key, entry.etag)
            with self._lock:
                facts = self._facts.get(known)
            if facts is None:
                item = _read(bucket, entry.key)
                if item is None:
                    continue  # withdrawn since the listing
                facts = _facts(item, f"s3://{bucket.name}/{entry.key}")
                self._remember(known, facts)
            found.append(facts)
        return found

    def _remember(self, known: tuple[str, str, str], facts: _Facts) -> None:
        with self._lock:
            self._facts[known] = facts
            while len(self._facts) > _REMEMBERED_ITEMS:
                self._facts.popitem(last=False)


def read_item(bucket: Objects, collection: str, item_id: str) -> Item | None:
    """Read an item; None where there is none. Raises IntegrityError where it is not JSON."""
    return _read(bucket, item_key(collection, item_id))


def _read(bucket: Objects, key: str) -> dict[str, Any] | None:
    try:
        content = json.loads(bucket.get_bytes(key))
    except ObjectNotFound:
        return None
    except ValueError as error:
        raise IntegrityError(f"s3://{bucket.name}/{key} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise IntegrityError(f"s3://{bucket.name}/{key} is not a JSON object")
    return content


def _write_changed(bucket: Objects, key: str, document: Mapping[str, Any]) -> None:
    if _read(bucket, key) != document:
        bucket.put_bytes(key, canonical_json(document))


def _check_owner(standing: Mapping[str, Any], item: Mapping[str, Any], where: str) -> None:
    owner = standing.get("properties", {}).get(OWNER)
    if owner != item["properties"][OWNER]:
        raise AlreadyExists(
            f"{where} belongs to {owner or 'somebody else'}, not to {item['properties'][OWNER]}"
        )


def _keep_times(item: Item, standing: Item) -> Item:
    times = {name: standing["properties"].get(name) for name in ("created", "updated")}
    kept = {**item, "properties": {**item["properties"], **times}}
    if kept == standing:
        return kept
    return {**kept, "properties": {**kept["properties"], "updated": item["properties"]["updated"]}}


def _facts(item: Item, where: str) -> _Facts:
    try:
        properties = item["properties"]
        moment = properties.get("datetime")
        return _Facts(
            item_id=item["id"],
            title=f"{properties.get('title', item['id'])} {properties.get('version', '')}".strip(),
            licence=properties.get("license", "other"),
            bbox=tuple(item.get("bbox") or WORLD),
            start=properties.get("start_datetime") or moment,
            end=properties.get("end_datetime") or moment,
            summaries=tuple((name, _texts(properties[name])) for name in _SUMMARIES if name in properties),
            keywords=tuple(properties.get("keywords", ())),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{where} is not a STAC item: {error!r}; remove it or mend it") from error


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _collection(collection: str, facts: Iterable[_Facts]) -> dict[str, Any]:
    members = sorted(facts, key=lambda fact: fact.item_id)
    title, description = _TITLES[collection]
    licences = {fact.licence for fact in members}
    document: dict[str, Any] = {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "id": collection,
        "title": title,
        "description": description,
        "license": licences.pop() if len(licences) == 1 else "other",
        "extent": {
            "spatial": {"bbox": [union(fact.bbox for fact in members) or list(WORLD)]},
            "temporal": {"interval": [_interval(members)]},
        },
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": _JSON},
            {"rel": "parent", "href": "../../catalog.json", "type": _JSON},
            *(
                {
                    "rel": "item",
                    "href": f"./items/{quote(fact.item_id)}.json",
                    "type": _GEOJSON,
                    "title": fact.title,
                }
                for fact in members
            ),
        ],
    }
    keywords = sorted({word for fact in members for word in fact.keywords})[:_MAX_SUMMARY]
    if keywords:
        document["keywords"] = keywords
    summaries = _summaries(members)
    if summaries:
        document["summaries"] = summaries
    return document


def _interval(members: list[_Facts]) -> list[str | None]:
    # RFC 3339 in UTC sorts as text.
    starts = [fact.start for fact in members if fact.start]
    ends = [fact.end for fact in members if fact.end]
    return [min(starts, default=None), max(ends, default=None)]


def _summaries(members: list[_Facts]) -> dict[str, list[str]]:
    values: dict[str, set[str]] = {}
    for fact in members:
        for name, texts in fact.summaries:
            values.setdefault(name, set()).update(texts)
    return {
        alias: sorted(texts)[:_MAX_SUMMARY]
        for name, texts in sorted(values.items())
        if texts
        for alias in _SUMMARIES[name]
    }


def _root(workspace: str, collections: list[str]) -> dict[str, Any]:
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": workspace,
        "title": f"Workspace {workspace}",
        "description": f"Models and datasets of workspace {workspace}.",
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": _JSON},
            *(
                {
                    "rel": "child",
                    "href": f"./collections/{collection}/collection.json",
                    "type": _JSON,
                    "title": _TITLES[collection][0],
                }
                for collection in collections
            ),
        ],
    }
