"""Scalars in TensorBoard's event files: the framing of TFRecord and the few fields of protobuf that they need.

The package ``tensorboard`` is 178 MB with what it needs; this reads the same scalars, stops at a record that is still
being written, and steps over images and the like without reading them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_HEAD = struct.Struct("<QI")  # length, its checksum
_FOOT_BYTES = 4  # the data's checksum, which is not looked at: what is cut is found by its length
_MAX_SCALAR_RECORD_BYTES = 1 << 20
_SCALARS = "scalars"
# How TensorFlow writes one number: data type → (field, format).
_TYPES = {1: (5, "f"), 2: (6, "d"), 3: (7, "varint"), 9: (10, "varint")}
_CONTENT_FORMATS = {1: "f", 2: "d", 3: "i", 9: "q"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGN, _WRAP = 1 << 63, 1 << 64
_MAX_VARINT_BYTES = 10


class NotAnEventFileError(Exception):
    """The bytes are not those of an event file."""


@dataclass(frozen=True)
class Scalar:
    """A number under a tag."""

    tag: str
    value: float
    step: int
    wall_time: float


@dataclass(frozen=True)
class Record:
    """The scalars of a record; ``end`` is where the next one begins."""

    scalars: tuple[Scalar, ...]
    end: int


def read_records(path: Path, offset: int, plugins: dict[str, str]) -> Iterator[Record]:
    """Give the whole records from ``offset`` on; one that is still being written is left for the next time.

    Parameters
    ----------
    plugins
        Which plugin a tag belongs to: a writer says it only with the tag's first value. It is filled here.

    Raises
    ------
    NotAnEventFileError
        A record is not one.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(offset)
        while size - offset >= _HEAD.size:
            length = _length(file)
            end = offset + _HEAD.size + length + _FOOT_BYTES
            if end > size:
                return
            scalars: tuple[Scalar, ...] = ()
            if length <= _MAX_SCALAR_RECORD_BYTES:
                scalars = tuple(_scalars(file.read(length), plugins))
            offset = file.seek(end)
            yield Record(scalars, end)


def _length(file: BinaryIO) -> int:
    head = file.read(_HEAD.size)
    length, checksum = _HEAD.unpack(head)
    if checksum != _masked_crc(head[:8]):
        raise NotAnEventFileError("a record's length does not fit its checksum")
    return int(length)


@dataclass(frozen=True)
class _Field:
    """A field of a protobuf message: ``number`` where its kind is a varint, else ``data``."""

    id: int
    kind: int
    number: int = 0
    data: bytes = b""

    def is_one(self, id_: int, kind: int) -> bool:
        return (self.id, self.kind) == (id_, kind)


def _scalars(data: bytes, plugins: dict[str, str]) -> Iterator[Scalar]:
    wall_time, step, summary = 0.0, 0, b""
    for field in _fields(data):
        if field.is_one(1, _FIXED64):
            wall_time = _unpack("d", field.data)
        elif field.is_one(2, _VARINT):
            step = _signed(field.number)
        elif field.is_one(5, _BYTES):
            summary = field.data
    for field in _fields(summary):
        found = _value(field.data, plugins) if field.is_one(1, _BYTES) else None
        if found is not None:
            yield Scalar(found[0], found[1], step, wall_time)


def _value(data: bytes, plugins: dict[str, str]) -> tuple[str, float] | None:
    """Give tag and number of a summary's value; None where it is no scalar."""
    fields = list(_fields(data))
    tag = next((f.data.decode("utf-8", "replace") for f in fields if f.is_one(1, _BYTES)), "")
    for field in fields:
        if field.is_one(2, _FIXED32):
            return tag, _unpack("f", field.data)
        if field.is_one(9, _BYTES):
            plugins[tag] = _plugin(field.data)
    tensor = next((f.data for f in fields if f.is_one(8, _BYTES)), None)
    number = _one_number(tensor) if tensor is not None and plugins.get(tag) == _SCALARS else None
    return None if number is None else (tag, number)


def _plugin(metadata: bytes) -> str:
    for field in _fields(metadata):
        for inner in _fields(field.data) if field.is_one(1, _BYTES) else ():
            if inner.is_one(1, _BYTES):
                return inner.data.decode("utf-8", "replace")
    return ""


def _one_number(tensor: bytes) -> float | None:
    """Give the number of a TensorProto with one."""
    fields = list(_fields(tensor))
    data_type = next((field.number for field in fields if field.is_one(1, _VARINT)), 0)
    if data_type not in _TYPES:
        return None
    wanted, form = _TYPES[data_type]
    for field in fields:
        if field.is_one(4, _BYTES) and field.data:
            form = _CONTENT_FORMATS[data_type]
            return _unpack(form, field.data) if len(field.data) == struct.calcsize(form) else None
        if field.id == wanted:
            return _element(field, form)
    return 0.0  # protobuf leaves out what is zero


def _element(field: _Field, form: str) -> float | None:
    """Give the one element of a repeated field, packed or not."""
    if field.kind == _VARINT:
        return float(_signed(field.number))
    if form == "varint":
        number, end = _varint(field.data, 0)
        return float(_signed(number)) if end == len(field.data) else None
    return _unpack(form, field.data) if len(field.data) == struct.calcsize(form) else None


def _unpack(form: str, data: bytes) -> float:
    return float(struct.unpack(f"<{form}", data)[0])


def _signed(value: int) -> int:
    return value - _WRAP if value >= _SIGN else value


def _fields(data: bytes) -> Iterator[_Field]:
    """Give the fields of a protobuf message."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            number, position = _varint(data, position)
            yield _Field(key >> 3, kind, number=number)
            continue
        if kind == _BYTES:
            length, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise NotAnEventFileError(f"there is no field of kind {kind}")
        if position + length > len(data):
            raise NotAnEventFileError("a field is longer than its message")
        yield _Field(key >> 3, kind, data=data[position : position + length])
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if position + index >= len(data):
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a number
            return value & (_WRAP - 1), position + index + 1
    raise NotAnEventFileError("a number has no end")


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # noqa: PLW2901
        table.append(byte)
    return tuple(table)


_TABLE = _crc_table()


def _masked_crc(data: bytes) -> int:
    """CRC32C, turned as TFRecord does."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
