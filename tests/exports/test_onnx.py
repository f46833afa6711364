"""A step as an ONNX graph: in onnxruntime, beside the integer engine. Skipped where the extra ``onnx`` is not installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from exports.random_models import KINDS, random_model

from qsnn.deploy.formats import FORMATS
from qsnn.deploy.onnx_step import MARK
from qsnn.errors import ConfigError

MISSING = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
needs_onnx = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (the extra onnx)")


@needs_onnx
def test_onnx_random_nets_equal_the_engine_in_every_code(tmp_path: Path) -> None:
    from qsnn.deploy.onnx_step.selftest import compared

    for seed in range(25):
        out = tmp_path / str(seed)
        FORMATS["onnx"].write(random_model(seed, KINDS[seed % len(KINDS)]), out, False)
        total, differ = compared(out)
        assert total > 0
        assert differ == 0, f"net {seed}"


@needs_onnx
def test_onnx_no_tensor_is_of_floats() -> None:
    import onnx

    from qsnn.deploy.onnx_step.step import step_of

    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    for seed, kind in enumerate(KINDS):
        found = onnx.shape_inference.infer_shapes(step_of(random_model(seed, kind)), strict_mode=True)
        graph = found.graph
        kinds = {v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)}
        kinds |= {constant.data_type for constant in graph.initializer}
        assert kinds
        assert not kinds & floats


@needs_onnx
def test_onnx_selftest_finds_a_changed_weight(tmp_path: Path) -> None:
    model, out = random_model(1, "recurrent"), tmp_path / "onnx"
    FORMATS["onnx"].write(model, out, False)
    first = model.layers[0]
    changed = first._replace(weight=first.weight._replace(codes=-first.weight.codes))
    FORMATS["onnx"].write(model._replace(layers=(changed, *model.layers[1:])), tmp_path / "other", False)
    (tmp_path / "other" / "step.onnx").replace(out / "step.onnx")
    done = subprocess.run([sys.executable, out / "selftest.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{first.name}." in done.stdout
    assert " 0 mismatches" not in done.stdout
    assert (out / MARK).is_file()


@pytest.mark.skipif("onnx" not in MISSING, reason="onnx is installed")
def test_onnx_without_the_package_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"format=onnx needs the package onnx, .* pip install 'qsnn\[onnx\]'"):
        FORMATS["onnx"].write(random_model(0, "dense"), tmp_path / "onnx", False)
    assert not (tmp_path / "onnx").exists()
