"""The header of an ONNX model: inputs, outputs, opset and files beside it, in bounded memory for any size.

A reader of the few fields of ``onnx.proto`` that are needed, over a memory map: the bytes of tensors are stepped over.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlops_operator.api.wire import TensorInfo

# TensorProto.DataType → mlm data types
_DATA_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "cfloat32",
    15: "cfloat64",
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_NAME_BYTES = 4096
_MAX_DEPTH = 16
_EXTERNAL = 1


class NotOnnx(ValueError):  # noqa: N818
    """The file is not an ONNX model, or is cut short."""


@dataclass
class OnnxHeader:
    """What a model says of itself; ``external_files`` are paths relative to its folder, as it names them."""

    inputs: list[TensorInfo] = field(default_factory=list)
    outputs: list[TensorInfo] = field(default_factory=list)
    opset: int | None = None
    producer: str = ""
    producer_version: str = ""
    external_files: list[str] = field(default_factory=list)


def read_onnx_header(path: Path) -> OnnxHeader:
    """Read the header of a model.

    Raises
    ------
    NotOnnx
        It is none.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise NotOnnx(f"{path.name} is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).model()


@dataclass(frozen=True)
class _Field:
    number: int
    kind: int
    value: int  # of a number; of bytes: where they begin
    end: int


class _Reader:
    def __init__(self, data: mmap.mmap | bytes) -> None:
        self._data = data
        self._external: dict[str, None] = {}

    def model(self) -> OnnxHeader:
        header = OnnxHeader()
        graph: _Field | None = None
        for entry in self._fields(0, len(self._data)):
            match entry.number, entry.kind:
                case 2, 2:
                    header.producer = self._text(entry)
                case 3, 2:
                    header.producer_version = self._text(entry)
                case 7, 2:
                    graph = entry
                case 8, 2:
                    domain, version = self._opset(entry)
                    if domain in ("", "ai.onnx"):
                        header.opset = version
        if graph is None:
            raise NotOnnx("there is no graph in it")
        self._graph(graph, header)
        header.external_files = list(self._external)
        return header

    def _graph(self, graph: _Field, header: OnnxHeader) -> None:
        """Read inputs and outputs; before IR version 4 an initializer stands among the inputs too."""
        initializers: set[str] = set()
        inputs: list[TensorInfo] = []
        for entry in self._fields(graph.value, graph.end):
            if entry.kind != _BYTES:
                continue
            match entry.number:
                case 5:
                    initializers.add(self._tensor(entry))
                case 11:
                    inputs.append(self._value_info(entry))
                case 12:
                    header.outputs.append(self._value_info(entry))
                case 1:
                    self._node(entry, 0)
        header.inputs = [tensor for tensor in inputs if tensor.name not in initializers]

    def _node(self, node: _Field, depth: int) -> None:
        """Look for tensors kept outside in a node's attributes."""
        if depth > _MAX_DEPTH:
            return
        for attribute in self._children(node, 5):
            for entry in self._fields(attribute.value, attribute.end):
                if entry.kind == _BYTES and entry.number in (5, 10):
                    self._tensor(entry)
                elif entry.kind == _BYTES and entry.number in (6, 11):
                    for tensor in self._children(entry, 5):
                        self._tensor(tensor)
                    for inner in self._children(entry, 1):
                        self._node(inner, depth + 1)

    def _tensor(self, tensor: _Field) -> str:
        name, location, external = "", "", False
        for entry in self._fields(tensor.value, tensor.end):
            if entry.number == 8 and entry.kind == _BYTES:  # noqa: PLR2004 - fields of TensorProto
                name = self._text(entry)
            elif entry.number == 14 and entry.kind == _VARINT:  # noqa: PLR2004
                external = entry.value == _EXTERNAL
            elif entry.number == 13 and entry.kind == _BYTES:  # noqa: PLR2004
                texts = {
                    e.number: self._text(e) for e in self._fields(entry.value, entry.end) if e.kind == _BYTES
                }
                if texts.get(1) == "location":
                    location = texts.get(2, "")
        if external and location:
            self._external[location] = None
        return name

    def _value_info(self, info: _Field) -> TensorInfo:
        name, data_type, shape = "", "other", list[int]()
        for entry in self._fields(info.value, info.end):
            if entry.kind != _BYTES:
                continue
            if entry.number == 1:
                name = self._text(entry)
            elif entry.number == 2:  # noqa: PLR2004
                for tensor in self._children(entry, 1):
                    data_type, shape = self._tensor_type(tensor)
        return TensorInfo(name=name, data_type=data_type, shape=shape)

    def _tensor_type(self, tensor: _Field) -> tuple[str, list[int]]:
        data_type, shape = "other", list[int]()
        for entry in self._fields(tensor.value, tensor.end):
            if entry.number == 1 and entry.kind == _VARINT:
                data_type = _DATA_TYPES.get(entry.value, "other")
            elif entry.number == 2 and entry.kind == _BYTES:  # noqa: PLR2004
                shape = [self._dimension(dimension) for dimension in self._children(entry, 1)]
        return data_type, shape

    def _dimension(self, dimension: _Field) -> int:
        for entry in self._fields(dimension.value, dimension.end):
            if entry.number == 1 and entry.kind == _VARINT and 0 < entry.value < 1 << 63:
                return entry.value
        return -1

    def _opset(self, opset: _Field) -> tuple[str, int]:
        domain, version = "", 0
        for entry in self._fields(opset.value, opset.end):
            if entry.number == 1 and entry.kind == _BYTES:
                domain = self._text(entry)
            elif entry.number == 2 and entry.kind == _VARINT:  # noqa: PLR2004
                version = entry.value
        return domain, version

    # --- protobuf's wire format ---------------------------------------------------------------------------------

    def _children(self, parent: _Field, number: int) -> Iterator[_Field]:
        for entry in self._fields(parent.value, parent.end):
            if entry.number == number and entry.kind == _BYTES:
                yield entry

    def _text(self, entry: _Field) -> str:
        return bytes(self._data[entry.value : min(entry.end, entry.value + _MAX_NAME_BYTES)]).decode(
            "utf-8", "replace"
        )

    def _fields(self, position: int, end: int) -> Iterator[_Field]:
        while position < end:
            tag, position = self._varint(position, end)
            number, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                value, position = self._varint(position, end)
                yield _Field(number, kind, value, position)
            elif kind == _BYTES:
                length, position = self._varint(position, end)
                if position + length > end:
                    raise NotOnnx("it is cut short, or no ONNX model")
                yield _Field(number, kind, position, position + length)
                position += length
            elif kind in (_FIXED32, _FIXED64):
                size = 4 if kind == _FIXED32 else 8
                if position + size > end:
                    raise NotOnnx("it is cut short, or no ONNX model")
                yield _Field(number, kind, position, position + size)
                position += size
            else:
                raise NotOnnx("it is no ONNX model")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                raise NotOnnx("it is cut short, or no ONNX model")
            byte = self._data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the last byte of a number
                return value, position
        raise NotOnnx("it is no ONNX model")
