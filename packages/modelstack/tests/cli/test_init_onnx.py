"""`modelstack model init net.onnx` and `modelstack new --from net.onnx`: a model of an ONNX file alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from modelstack.cli.errors import OperatorError
from modelstack.cli.init import new_model, onnx_file
from modelstack.cli.main import main
from modelstack.pipeline.pack import SealedPackage
from tests.cli.test_init import checkout

ROWS = "rows"


def save(
    path: Path,
    nodes: list[Any],
    inputs: dict[str, tuple[int, Sequence[Any]]],
    *held: Any,
    answer: int = TensorProto.FLOAT,
) -> Path:
    """Write an ONNX file with the output `answer`."""
    given = [helper.make_tensor_value_info(name, *form) for name, form in inputs.items()]
    graph = helper.make_graph(nodes, "net", given, [helper.make_tensor_value_info("answer", answer, None)], list(held))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def classifier(path: Path) -> Path:
    """A small convolutional classifier of images with one channel and 8 times 8 pixels."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.normal(size=shape).astype("float32"), name)
        for name, shape in {"kernels": (4, 1, 3, 3), "dense": (4, 10)}.items()
    ]
    nodes = [
        helper.make_node("Conv", ["image", "kernels"], ["found"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["found"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["answer"]),
    ]
    return save(path, nodes, {"image": (TensorProto.FLOAT, [ROWS, 1, 8, 8])}, *weights)


def of_one(path: Path, kind: int, shape: Sequence[Any]) -> Path:
    return save(path, [helper.make_node("Shape", ["x"], ["answer"])], {"x": (kind, shape)}, answer=TensorProto.INT64)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.slow
def test_a_project_is_made_of_an_image_classifier_and_answers_images(tmp_path: Path) -> None:
    net, to = classifier(tmp_path / "digits.onnx"), tmp_path / "to"
    done = run("new", "digits", "--from", net, "--dir", to)
    assert done.exit_code == 0, done.output
    assert "built: rows 2, of an example; what serves is the file as it is" in done.output
    assert {path.name for path in (to / "model").iterdir()} == {"__init__.py", "features.py", "model.onnx"}
    assert (to / "model/model.onnx").read_bytes() == net.read_bytes()
    config = yaml.safe_load((to / "stacks/Pulumi.prod.yaml").read_text())["config"]
    assert config["modelstack:model"]["gates"] == {}


@pytest.mark.parametrize(
    ("kind", "shape", "declared"),
    [
        (TensorProto.FLOAT, [ROWS, 3, 8, 8], {"shape": [3, 8, 8], "dtype": "float32"}),
        (TensorProto.DOUBLE, [ROWS, 1000], {"shape": [1000], "dtype": "float64"}),
        (TensorProto.FLOAT16, [ROWS, 2], {"shape": [2], "dtype": "float32"}),
        (TensorProto.UINT8, [ROWS, 4, 4], {"shape": [4, 4], "dtype": "uint8"}),
        (TensorProto.INT8, [ROWS, 4], {"shape": [4], "dtype": "int32", "low": -128, "high": 127}),
        (TensorProto.UINT32, [ROWS, 4], {"shape": [4], "dtype": "int64", "low": 0, "high": 2**32 - 1}),
        (TensorProto.INT64, [ROWS, 4], {"shape": [4], "dtype": "int64"}),
        (TensorProto.FLOAT, [ROWS], {"kind": "number"}),
        (TensorProto.INT64, [ROWS, 1], {"kind": "number"}),
        (TensorProto.STRING, [ROWS, 1], {"kind": "text"}),
        (TensorProto.BOOL, [ROWS], {"kind": "boolean"}),
    ],
)
def test_inputs_are_declared_as_the_file_has_them(
    tmp_path: Path, kind: int, shape: list[Any], declared: dict[str, Any]
) -> None:
    assert onnx_file.read(of_one(tmp_path / "net.onnx", kind, shape)) == {"x": declared}


@pytest.mark.parametrize(
    ("kind", "shape", "why"),
    [
        (TensorProto.FLOAT, [1, 8], r"input x: found the shape \[1, 8\]; expected a first dimension of any length"),
        (TensorProto.FLOAT, [], r"found the shape \[\]; expected a first dimension of any length"),
        (TensorProto.FLOAT, [ROWS, "h", 8], r"found the shape .*'h', 8\]; expected fixed lengths after the first"),
        (TensorProto.STRING, [ROWS, 2], r"of tensor\(string\); expected one value a row"),
        (TensorProto.UINT64, [ROWS, 2], r"found the type tensor\(uint64\); expected one of double, float,"),
    ],
)
def test_an_input_that_no_request_can_have_is_refused_with_its_shape(
    tmp_path: Path, kind: int, shape: list[Any], why: str
) -> None:
    with pytest.raises(OperatorError, match=why):
        onnx_file.read(of_one(tmp_path / "net.onnx", kind, shape))


def test_a_model_without_metrics_has_no_gates_and_its_request_is_written_by_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout(tmp_path, monkeypatch)
    sealed = SealedPackage(Path("/kept/model.tar.gz"), "", "", {"rows": 2.0}, "")
    monkeypatch.setattr(new_model, "build", lambda *_, **__: sealed)
    done = run("model", "init", classifier(tmp_path / "digits.onnx"))
    assert done.exit_code == 0, done.output
    section = yaml.safe_load(done.output.partition("by this one:\n")[2].partition("\nthen type")[0])
    assert section == {"modelstack:model": {"name": "digits", "gates": {}}}
    assert "pipeline example > request.json" in done.output and "modelstack invoke request.json" in done.output


def test_a_file_that_is_no_onnx_file_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("no")
    done = run("new", "digits", "--from", tmp_path / "net.onnx", "--dir", tmp_path / "to")
    assert done.exit_code == 1
    assert "net.onnx: expected an ONNX file that onnxruntime reads" in " ".join(done.output.split())
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("command", [("new", "digits", "--from"), ("model", "init")])
def test_a_table_goes_with_an_estimator_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    for name in ("net.onnx", "net.joblib", "rows.csv"):
        (tmp_path / name).touch()
    for words, why in (
        (("net.onnx", "rows.csv"), "is an ONNX file, which takes no TABLE"),
        (("net.onnx", "--label", "y"), "is an ONNX file, which takes no --label"),
        (("net.joblib",), "needs TABLE and --label"),
        (("net.joblib", "rows.csv"), "needs --label"),
    ):
        done = run(*command, *(tmp_path / one if "." in one else one for one in words))
        assert done.exit_code == 2 and why in " ".join(done.output.split()), json.dumps([words, done.output])
