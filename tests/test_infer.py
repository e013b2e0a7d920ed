"""Sessions and the rewriting of ONNX graphs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode leaves the folder out

import onnxruntime as ort
import tiny_onnx as tiny

from anonfilter import infer
from anonfilter.errors import ModelError
from anonfilter.infer import onnxgraph
from anonfilter.models import catalog

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
REAL = {"faces": (1, 3, 96, 128), "plates": (1, 3, 96, 128), "yolo-faceghost": (1, 3, 96, 128)}


def real_net(name: str) -> Path:
    """A shipped model, pulled if need be. CI may not skip."""
    try:
        return catalog.resolve(name).path()
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no network: {error}")


@pytest.fixture
def added(tmp_path: Path) -> Path:
    path = tmp_path / "add.onnx"
    path.write_bytes(tiny.add_net())
    return path


def test_describe() -> None:
    info = onnxgraph.describe(tiny.add_net((1, 3, "H", "W")))
    assert info.inputs == (onnxgraph.Value("x", onnxgraph.FLOAT, (1, 3, "H", "W")),)
    assert info.outputs == (onnxgraph.Value("y", onnxgraph.FLOAT, (1, 3, "H", "W")),)
    assert info.metadata["license"] == "MIT"
    assert info.class_names() == ("face", "plate")


@pytest.mark.parametrize("names", ["", "{1: 'face'}", "__import__('os')", "[1", "7"])
def test_class_names_that_are_not_a_list_by_index(names: str) -> None:
    assert onnxgraph.GraphInfo((), (), {"names": names}).class_names() == ()


def test_rewrite_runs_at_another_size_with_constant_weights() -> None:
    model = tiny.add_net()
    before = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    after = ort.InferenceSession(
        onnxgraph.rewrite(model, {"x": (1, 3, 6, 8)}), providers=["CPUExecutionProvider"]
    )
    assert [v.name for v in before.get_overridable_initializers()] == ["w"]
    assert after.get_overridable_initializers() == []
    assert after.get_inputs()[0].shape == [1, 3, 6, 8]
    assert after.get_modelmeta().custom_metadata_map["license"] == "MIT"
    x = np.random.default_rng(0).random((1, 3, 6, 8), dtype=np.float32)
    (y,) = after.run(None, {"x": x})
    np.testing.assert_array_equal(y, x + np.float32([1, 2, 3]).reshape(1, 3, 1, 1))


def test_rewrite_refuses_an_unknown_input() -> None:
    with pytest.raises(ModelError, match="no input named z"):
        onnxgraph.rewrite(tiny.add_net(), {"z": (1, 3, 4, 4)})


def test_a_cut_or_damaged_file_is_a_model_error_and_nothing_else() -> None:
    model = tiny.add_net()
    rng = np.random.default_rng(1)
    refused, messages = 0, set()
    for cut in range(len(model)):
        damaged = bytearray(model)
        for at in rng.integers(0, len(model), 3):
            damaged[at] = rng.integers(0, 256)
        for data in (model[:cut], bytes(damaged), rng.bytes(cut)):
            try:
                onnxgraph.describe(data)
                onnxgraph.rewrite(data, {"x": (1, 3, 6, 8)})
            except ModelError as error:
                refused += 1
                messages.add(str(error))
    assert refused > len(model)
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("name", REAL)
def test_rewritten_real_net_equals_the_onnx_packages_view(name: str) -> None:
    onnx = pytest.importorskip("onnx", reason="the onnx package is for comparison only")
    data = real_net(name).read_bytes()
    net = onnx.load_from_string(data)
    held = {weight.name for weight in net.graph.initializer}
    info = onnxgraph.describe(data)
    (image,) = (value for value in net.graph.input if value.name not in held)
    assert [value.name for value in info.inputs] == [image.name]
    assert [value.name for value in info.outputs] == [value.name for value in net.graph.output]
    assert info.metadata == {entry.key: entry.value for entry in net.metadata_props}
    got = onnx.load_from_string(onnxgraph.rewrite(data, {image.name: REAL[name]}))
    assert tuple(d.dim_value for d in got.graph.input[0].type.tensor_type.shape.dim) == REAL[name]
    for value in [image, *got.graph.input]:
        value.type.tensor_type.ClearField("shape")
    # Serialised, so that two messages are equal only if every field is.
    want = onnx.ModelProto()
    want.CopyFrom(net)
    del want.graph.input[:], want.graph.value_info[:]
    want.graph.input.append(image)
    for value in want.graph.output:
        value.type.tensor_type.ClearField("shape")
    assert got.SerializeToString(deterministic=True) == want.SerializeToString(deterministic=True)


def test_rewriting_does_not_change_what_a_real_net_computes() -> None:
    path = real_net("faces")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    x = np.random.default_rng(2).random((10, 3, 32, 32), dtype=np.float32) * 255
    as_shipped = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(
        None, {"input.1": x}
    )
    rewritten = infer.open_session(path, shapes={"": (10, 3, 32, 32)}, engine="onnxruntime").run(x)
    for one, other in zip(as_shipped, rewritten.values(), strict=True):
        # Folding batch norms into convolutions reorders fp32 sums: a few units of the largest value's last
        # place.
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-5 * np.abs(one).max())


@pytest.mark.parametrize("name", ["faces", "plates"])
def test_one_copy_of_a_net_for_all_sizes_says_the_same(name: str) -> None:
    path = real_net(name)
    rng = np.random.default_rng(4)
    opened = []
    for shape in [(1, 3, 96, 160), (1, 3, 192, 192), (1, 3, 96, 160)]:
        x = rng.random(shape, dtype=np.float32) * 255
        alone = infer.open_session(path, shapes={"": shape}, engine="onnxruntime", threads=1)
        shared = infer.open_session(path, shapes={"": shape}, any_size=True, engine="onnxruntime", threads=1)
        assert shared.outputs == alone.outputs
        for one, other in zip(alone.run(x).values(), shared.run(x).values(), strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(one).max())
        opened.append(shared)
    assert len({id(item._session) for item in opened}) == 1  # type: ignore[attr-defined]
    opened.pop().close()
    opened.pop().close()
    opened.pop().run(rng.random((1, 3, 96, 160), dtype=np.float32))  # what others close stays open for it
    fresh = infer.open_session(path, shapes={"": (1, 3, 96, 160)}, any_size=True, engine="onnxruntime", threads=1)
    assert fresh.run(x)


@pytest.mark.skipif(not HAS_OPENVINO, reason="the openvino extra is not installed")
@pytest.mark.parametrize("name", REAL)
def test_engines_agree(name: str) -> None:
    path, shape = real_net(name), REAL[name]
    x = np.random.default_rng(3).random(shape, dtype=np.float32) * (1 if "yolo" in name else 255)
    one = infer.open_session(path, shapes={"": shape}, engine="onnxruntime")
    other = infer.open_session(path, shapes={"": shape}, engine="openvino")
    assert (one.engine, other.engine) == ("onnxruntime", "openvino")
    assert one.outputs == other.outputs
    assert one.input_name == other.input_name
    # bf16 has 8 significant bits, fp32 sums differ by reordering only.
    share = 0.05 if infer.native_bf16() else 1e-4
    others = other.run(x)
    for name_, values in one.run(x).items():
        np.testing.assert_allclose(values, others[name_], rtol=0, atol=share * np.abs(values).max())


def test_float16_input(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(
        tiny.model(
            [tiny.node("Neg", ["x"], ["y"])],
            [tiny.value("x", (1, 3, 2, 2), tiny.FLOAT16)],
            [tiny.value("y", (1, 3, 2, 2), tiny.FLOAT16)],
        )
    )
    session = infer.open_session(path, shapes={}, engine="onnxruntime")
    (y,) = session.run(np.full((1, 3, 2, 2), 0.5, np.float32)).values()
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, -0.5)


def test_errors_are_one_line_and_name_the_file(added: Path, tmp_path: Path) -> None:
    def message(path: Path, **options: object) -> str:
        with pytest.raises(ModelError) as caught:
            infer.open_session(path, **{"shapes": {}, "engine": "onnxruntime", **options})  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
        return str(caught.value)

    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"<html>not found</html>")
    two = tmp_path / "two.onnx"
    two.write_bytes(
        tiny.model(
            [tiny.node("Add", ["a", "b"], ["y"])],
            [tiny.value("a", (1, 3, 2, 2)), tiny.value("b", (1, 3, 2, 2))],
            [tiny.value("y", (1, 3, 2, 2))],
        )
    )
    unknown = tmp_path / "unknown.onnx"
    unknown.write_bytes(
        tiny.model([tiny.node("Frobnicate", ["a"], ["y"])], [tiny.value("a", (1,))], [tiny.value("y", (1,))])
    )
    assert "gone.onnx" in message(tmp_path / "gone.onnx")
    assert "garbage.onnx" in message(garbage)
    assert "not an ONNX file" in message(garbage)
    assert "one input is needed, this has 2" in message(two)
    assert "unknown.onnx: onnxruntime cannot load it" in message(unknown)
    assert "device 'cuda:0' is not built yet" in message(added, device="cuda:0")
    assert "unknown inference engine 'tpu'" in message(added, engine="tpu")


def test_missing_openvino_names_the_extra(added: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"pip install 'anonfilter\[openvino\]'"):
        infer.open_session(added, shapes={}, engine="openvino")


def test_a_tensor_of_another_shape_is_refused(added: Path) -> None:
    session = infer.open_session(added, shapes={"x": (1, 3, 6, 8)}, engine="onnxruntime")
    with pytest.raises(ModelError, match=r"add\.onnx: onnxruntime failed"):
        session.run(np.zeros((1, 3, 8, 6), np.float32))


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        ("fpu avx2 avx512f", False),
        ("avx2 avx512_bf16 fma", True),
        ("amx_bf16", True),
        ("avx512_bf16_x", False),
    ],
)
def test_native_bf16(tmp_path: Path, flags: str, native: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: amx_bf16 lookalike\nflags\t\t: {flags}\n")
    assert infer.native_bf16(cpuinfo) is native


def test_native_bf16_where_the_system_does_not_tell(tmp_path: Path) -> None:
    assert infer.native_bf16(tmp_path / "none") is False


def test_auto_takes_openvino_only_with_native_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    for native, installed, engine in [
        (False, True, "onnxruntime"),
        (True, False, "onnxruntime"),
        (True, True, "openvino"),
    ]:
        monkeypatch.setattr(infer, "native_bf16", lambda native=native: native)
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name, installed=installed: object() if installed else None
        )
        assert infer.choose_engine() == engine


def test_available_cores() -> None:
    assert 1 <= infer.available_cores() <= (os.cpu_count() or 1)


def test_nothing_is_told_to_anybody(tmp_path: Path) -> None:
    """From 1.32 on, importing ONNX Runtime makes a device id and a queue of events to upload in the user's home."""
    (tmp_path / "add.onnx").write_bytes(tiny.add_net())
    script = (
        "from anonfilter.infer import open_session; import sys\n"
        "open_session(sys.argv[1], shapes={}, engine='onnxruntime').close()"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "add.onnx")], env=env, check=True, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["add.onnx"]
