"""Which files are the model, and what they say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_operator.agent.globs import matcher
from mlops_operator.agent.model_files import ModelSearch, Selection, describe
from mlops_operator.agent.onnx_header import NotOnnx, _Reader, read_onnx_header


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor_info(name: str, data_type: int, *shape: int | str) -> bytes:
    dimensions = b"".join(
        _bytes(1, _number(1, size) if isinstance(size, int) else _bytes(2, size)) for size in shape
    )
    tensor = _number(1, data_type) + _bytes(2, dimensions)
    return _bytes(1, name) + _bytes(2, _bytes(1, tensor))


def onnx_model(external: str | None = None) -> bytes:
    weights = _bytes(8, "w") + _bytes(9, b"\0" * 5000)
    if external:
        weights = _bytes(8, "w") + _bytes(13, _bytes(1, "location") + _bytes(2, external)) + _number(14, 1)
    graph = (
        _bytes(5, weights)
        + _bytes(11, _tensor_info("X", 1, "batch", 6))
        + _bytes(11, _tensor_info("w", 1, 6, 3))
        + _bytes(12, _tensor_info("label", 7, "batch"))
    )
    opset = _bytes(1, "") + _number(2, 17)
    return _number(1, 8) + _bytes(2, "skl2onnx") + _bytes(7, graph) + _bytes(8, opset)


@pytest.fixture
def search(tmp_path: Path) -> ModelSearch:
    for name in ("code", "output"):
        (tmp_path / name).mkdir()
    output = tmp_path / "output"
    return ModelSearch(working=tmp_path / "code", output=output, model_dir=output / "model")


def _write(path: Path, data: bytes = b"x", age: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def _with(search: ModelSearch, **fields: object) -> ModelSearch:
    return ModelSearch(**(vars(search) | fields))


def test_order_of_the_places(search: ModelSearch) -> None:
    assert search.find() is None
    _write(search.working / "deep" / "a.onnx")
    found = search.find()
    assert found is not None
    assert (found.selected_by, found.shown_path) == ("onnx", "deep/a.onnx")
    _write(search.output / "b.onnx")
    found = search.find()
    assert found is not None
    assert found.shown_path == "output/b.onnx"
    logged = _write(search.output / "mlflow" / "m" / "MLmodel").parent
    found = _with(search, logged=logged).find()
    assert found is not None
    assert found.selected_by == "mlflow"
    _write(search.model_dir / "c.pt")
    found = _with(search, logged=logged).find()
    assert found is not None
    assert found.selected_by == "modelDir"
    named = _with(search, path="nothing/*.onnx")
    assert named.find() is None, "a path that is named is the only place"


def test_of_several_the_newest_and_all_are_named(search: ModelSearch) -> None:
    for number in range(3):
        _write(search.working / "out" / f"m{number}.pt", age=10 - number)
    found = _with(search, path="out/*.pt").find()
    assert found is not None
    assert found.files == (("m2.pt", search.working / "out" / "m2.pt"),)
    assert found.candidates == ("out/m2.pt", "out/m1.pt", "out/m0.pt")


def test_a_path_may_be_a_folder(search: ModelSearch) -> None:
    _write(search.working / "saved" / "a" / "b.bin")
    found = _with(search, path="saved").find()
    assert found is not None
    assert [name for name, _ in found.files] == ["a/b.bin"]


def test_links_do_not_lead_out(search: ModelSearch, tmp_path: Path) -> None:
    secret = _write(tmp_path / "secret.onnx")
    (search.working / "model.onnx").symlink_to(secret)
    search.model_dir.mkdir()
    (search.model_dir / "model.onnx").symlink_to(secret)
    assert search.find() is None
    assert _with(search, path="model.onnx").find() is None
    assert _with(search, path="../secret.onnx").find() is None
    _write(search.working / "checkpoint" / "m.onnx")
    (search.working / "latest.onnx").symlink_to(search.working / "checkpoint" / "m.onnx")
    assert _with(search, path="latest.onnx").find() is not None


def test_an_onnx_model_is_read_with_its_outside_tensors(search: ModelSearch) -> None:
    _write(search.output / "m.onnx", onnx_model("m.data"))
    _write(search.output / "m.data")
    found = search.find()
    assert found is not None
    assert [name for name, _ in found.files] == ["m.onnx", "m.data"]
    details = describe(found)
    assert details.onnx is not None
    assert [(t.name, t.data_type, t.shape) for t in details.onnx.inputs] == [("X", "float32", [-1, 6])]
    assert [(t.name, t.data_type, t.shape) for t in details.onnx.outputs] == [("label", "int64", [-1])]
    assert (details.onnx.opset, details.onnx.producer) == (17, "skl2onnx")
    assert details.warnings == []


@pytest.mark.parametrize("location", ["../secret", "missing.data", "/etc/passwd"])
def test_missing_or_escaping_tensors_are_told(search: ModelSearch, location: str) -> None:
    _write(search.output / "m.onnx", onnx_model(location))
    _write(search.output.parent / "secret")
    found = search.find()
    assert found is not None
    assert [name for name, _ in found.files] == ["m.onnx"]
    assert location in describe(found).warnings[0]


def test_what_is_no_onnx_model_is_not_called_one(search: ModelSearch) -> None:
    _write(search.output / "m.onnx", b"hello, this is text")
    found = search.find()
    assert found is not None
    details = describe(found)
    assert details.format == "other"
    assert "named like an ONNX model" in details.warnings[0]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    try:
        _Reader(data).model()
    except NotOnnx:
        return


@given(st.integers(0, len(onnx_model()) - 1))
def test_a_model_cut_short_is_never_an_error_of_ours(length: int) -> None:
    try:
        _Reader(onnx_model()[:length]).model()
    except NotOnnx:
        return


def test_a_large_model_is_read_without_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    size = 1 << 33  # sparse: 8 GiB of tensor
    head = _number(1, 8)
    tensor_head = _bytes(8, "w") + _varint(9 << 3 | 2) + _varint(size)
    graph_tail = _bytes(11, _tensor_info("X", 11, 3))
    tensor_length = len(tensor_head) + size
    graph_head = _varint(5 << 3 | 2) + _varint(tensor_length)
    graph_length = len(graph_head) + tensor_length + len(graph_tail)
    with path.open("wb") as file:
        file.write(head + _varint(7 << 3 | 2) + _varint(graph_length) + graph_head + tensor_head)
        file.seek(size, os.SEEK_CUR)
        file.write(graph_tail)
    assert [(t.name, t.data_type) for t in read_onnx_header(path).inputs] == [("X", "float64")]


_MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.sklearn
    model_path: {file}
  sklearn:
    code: null
    pickled_model: {file}
    sklearn_version: 1.5.2
mlflow_version: 2.14.3
"""


@pytest.mark.parametrize(
    ("name", "kind", "unsafe"), [("model.skops", "skops", False), ("model.pkl", "pickle", True)]
)
def test_the_main_file_of_an_mlflow_model(tmp_path: Path, name: str, kind: str, unsafe: bool) -> None:
    files = {
        "MLmodel": _write(tmp_path / "MLmodel", _MLMODEL.format(file=name).encode()),
        "conda.yaml": _write(tmp_path / "conda.yaml", b"y" * 100),
        name: _write(tmp_path / name),
    }
    details = describe(Selection("model", "mlflow", tuple(files.items())))
    assert (details.main_file, details.format) == (name, kind)
    assert (details.framework, details.framework_version) == ("scikit-learn", "1.5.2")
    assert bool(details.warnings) == unsafe


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "d/a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "d/e/a.csv", True),
        ("d", "d/e/a.csv", True),
        ("d/", "d/a", True),
        ("d/**", "e/a", False),
        ("a?c[0-9].tif", "abc7.tif", True),
        ("a[!0].tif", "a0.tif", False),
        ("a+(b).tif", "a+(b).tif", True),
    ],
)
def test_globs(glob: str, path: str, fits: bool) -> None:
    assert matcher([glob])(path) is fits


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_glob_is_a_pattern(glob: str, path: str) -> None:
    try:
        matcher([glob])(path)
    except Exception as error:  # noqa: BLE001
        pytest.fail(f"{glob!r}: {error}")
