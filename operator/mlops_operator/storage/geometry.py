"""Where something is valid: boxes of degrees as GeoJSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

WORLD = (-180.0, -90.0, 180.0, 90.0)


def geometry(bbox: Sequence[float]) -> dict[str, Any]:
    """GeoJSON of a box (west, south, east, north); one that crosses the antimeridian becomes two polygons."""
    west, south, east, north = bbox
    if west <= east:
        return {"type": "Polygon", "coordinates": [_ring(west, south, east, north)]}
    return {
        "type": "MultiPolygon",
        "coordinates": [[_ring(west, south, 180.0, north)], [_ring(-180.0, south, east, north)]],
    }


def union(boxes: Iterable[Sequence[float]]) -> list[float] | None:
    """Give the smallest box around all; None where there are none. Boxes over the antimeridian make it world-wide."""
    every = [list(box) for box in boxes]
    if not every:
        return None
    wraps = any(west > east for west, _, east, _ in every)
    return [
        -180.0 if wraps else min(box[0] for box in every),
        min(box[1] for box in every),
        180.0 if wraps else max(box[2] for box in every),
        max(box[3] for box in every),
    ]


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    # Counter-clockwise, closed (RFC 7946).
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]
