"""Arrays, texts and bytes in requests, answers and captures."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

from modelstack.monitoring import captured
from modelstack.monitoring.exchanges import read
from modelstack.monitoring.statistics.summaries import expanded
from modelstack.serving import open_inference
from modelstack.serving.answers import Answers, WrongAnswers
from modelstack.serving.declaration import ARRAY_SUMMARIES, Declaration
from modelstack.serving.instances import BadRequest, Reader, Rows
from modelstack.serving.onnx_file import OnnxFile
from modelstack.serving.promise import Promise
from modelstack.serving.summaries import documents
from tests.serving.packages import served, write

FEATURES: list[dict[str, Any]] = [
    {"name": "embedding", "kind": "number", "shape": [3], "dtype": "float32", "optional": True, "low": -5},
    {"name": "image", "kind": "number", "shape": [2, 2], "dtype": "uint8", "summaries": ["mean", "zeros"]},
    {"name": "age", "kind": "number"},
    {"name": "note", "kind": "text", "longest": 5, "summaries": ["characters"]},
    {"name": "sound", "kind": "bytes", "longest": 4},
    {"name": "gaps", "kind": "number", "shape": [1], "optional": True, "summaries": []},
]
DECLARED = Declaration.from_dict(FEATURES)
READER = Reader(DECLARED)
INSTANCE = {"embedding": [1, 2.5, 0], "image": [[0, 1], [2, 255]], "age": 3, "note": "hey", "sound": "AAEC"}


def body(*changes: Any) -> bytes:
    return json.dumps({"instances": [INSTANCE | one for one in changes]}).encode()


def test_arrays_have_their_shape_and_type_and_are_columns_of_the_table():
    rows = READER.json(body({}, {"embedding": None}))
    embedding, image = rows.columns["embedding"], rows.columns["image"]
    assert (embedding.dtype, embedding.shape, image.dtype, image.shape) == ("float32", (2, 3), "uint8", (2, 2, 2))
    assert image[1].tolist() == INSTANCE["image"] and np.isnan(embedding[1]).all()
    assert rows.columns["sound"] == [b"\x00\x01\x02"] * 2
    assert rows.table[0].tolist()[:-1] == [1, 2.5, 0, 0, 1, 2, 255, 3, "hey", b"\x00\x01\x02"]
    numbers = Reader(Declaration.from_dict(FEATURES[:3])).json(
        json.dumps({"instances": [{name: INSTANCE[name] for name in ("embedding", "image", "age")}]}).encode()
    )
    assert numbers.table.dtype == float and numbers.table.tolist() == [[1, 2.5, 0, 0, 1, 2, 255, 3]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"embedding": [1, 2]}, "embedding: found a list of 2: expected one of 3, shape [3]"),
        ({"embedding": 7}, "embedding: 7 is not allowed: expected a list of 3, shape [3]"),
        ({"embedding": [1, 2, "x"]}, "embedding[2]: 'x' is not allowed: expected a number from -5 to 1e+30"),
        ({"embedding": [1, -6, 3]}, "embedding[1]: -6 is not allowed: expected a number from -5 to 1e+30"),
        ({"embedding": [1, None, 3]}, "embedding[1]: None is not allowed: expected a number from -5 to 1e+30"),
        ({"embedding": [1, 2, 1e40]}, "embedding[2]: 1e+40 is not allowed: expected a number from -5 to 1e+30"),
        ({"gaps": [1e31]}, "gaps[0]: 1e+31 is not allowed: expected a number from -1e+30 to 1e+30"),
        ({"image": [[1, 2], [3]]}, "image[1]: found a list of 1: expected one of 2, shape [2, 2]"),
        ({"image": [[1, 2], [3, 256]]}, "image[1][1]: 256 is not allowed: expected a whole number from 0 to 255"),
        ({"image": [[1, 2], [3, 0.5]]}, "image[1][1]: 0.5 is not allowed: expected a whole number from 0 to 255"),
        ({"image": None}, "image: None is not allowed: expected an array of shape [2, 2], each a whole number from"),
        ({"note": "longer"}, "note: 'longer' is not allowed: expected a string of at most 5 characters"),
        ({"sound": "?!"}, "sound: '?!' is not allowed: expected base64 of at most 4 bytes"),
        ({"sound": "AAAAAAA="}, "sound: 'AAAAAAA=' is not allowed: expected base64 of at most 4 bytes"),
    ],
)
def test_a_wrong_value_is_named_with_its_field_its_place_and_the_shape(change: dict[str, Any], said: str):
    for number, problem in ((0, body(change)), (1, body({}, change))):
        with pytest.raises(BadRequest) as refused:
            READER.json(problem)
        (first,) = refused.value.problems
        assert first.startswith(f"instances[{number}].{said}")


def test_numbers_are_counted_before_they_take_memory():
    with pytest.raises(BadRequest, match="the body has 1,200,003 commas: expected at most 1,000,000 numbers"):
        READER.json(b'{"instances": [{"embedding": [' + b"0," * 1_200_000 + b"0,0,0,0]}]}")


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ({"kind": "text", "shape": [3]}, "it is a text of shape [3]: expected numbers"),
        ({"kind": "number", "shape": [2000, 2000]}, "shape [2000, 2000]: expected numbers, at most 1,000,000"),
        ({"kind": "number", "shape": [0]}, "Expected `int` >= 1"),
        ({"kind": "number", "shape": [3], "dtype": "int8"}, "dtype is 'int8': expected one of float64"),
        ({"kind": "number", "dtype": "int64"}, "for an array"),
        ({"kind": "number", "shape": [3], "dtype": "uint8", "optional": True}, "no NaN for a missing array"),
        ({"kind": "number", "shape": [3], "summaries": ["median"]}, "summaries are median: expected some of mean"),
        ({"kind": "number", "longest": 3}, "longest is for texts and bytes"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(feature: dict[str, Any], said: str):
    with pytest.raises(ValueError) as refused:
        Declaration.from_dict([{"name": "x", **feature}])
    assert said in str(refused.value)


def test_a_feature_with_the_name_of_a_summary_is_refused():
    with pytest.raises(ValueError, match=r"image\.mean is a feature and a summary"):
        Declaration.from_dict([*FEATURES, {"name": "image.mean", "kind": "number"}])


instances = st.lists(
    st.fixed_dictionaries(
        {
            "embedding": st.none() | st.lists(st.floats(-5, 1e6, width=32), min_size=3, max_size=3),
            "image": st.lists(st.lists(st.integers(0, 255), min_size=2, max_size=2), min_size=2, max_size=2),
            "age": st.floats(0, 100),
            "note": st.text(max_size=5).filter(lambda text: text.isprintable()),
            "sound": st.binary(max_size=4).map(lambda one: b64encode(one).decode()),
        }
    ),
    min_size=1,
    max_size=4,
)


@given(instances)
def test_a_capture_has_the_summaries_that_a_monitor_computes_of_the_request_itself(given: list[dict[str, Any]]):
    rows = READER.json(json.dumps({"instances": given}).encode())
    kept: list[Any] = json.loads(json.dumps(documents(rows, DECLARED.features)))
    for one, sent in zip(kept, given, strict=True):
        own, theirs = expanded(one, DECLARED.watched), expanded(sent, DECLARED.watched)
        if one["embedding"] is None:
            own |= {f"embedding.{name}": None for name in ARRAY_SUMMARIES}
        assert own.keys() == theirs.keys()
        assert {k: v for k, v in own.items() if not isinstance(v, float)} == pytest.approx(
            {k: v for k, v in theirs.items() if not isinstance(own[k], float)}
        )
        for name, value in own.items():
            if isinstance(value, float):
                assert value == pytest.approx(theirs[name], rel=1e-6, abs=1e-6), name


items = st.none() | st.booleans() | st.integers(-9, 300) | st.floats(-9, 9) | st.sampled_from([1e31, 2**64, "x", 3.0])
arrays = st.lists(items, max_size=4) | st.lists(st.lists(items, min_size=1, max_size=3), max_size=3)
sounds = st.sampled_from(["", "AAEC", "AAE=", "AAE", "AA==", "A", "AAAAAAA=", "AA-_", "AA\n==", " AAEC", "é", 5, None])


@given(
    st.fixed_dictionaries(
        {},
        optional={"embedding": arrays | items, "image": arrays, "sound": sounds, "note": st.text(max_size=7) | items},
    )
)
def test_a_value_is_refused_if_and_only_if_a_reason_is_given(change: dict[str, Any]):
    fits = all(one.fits(change[one.name]) for one in DECLARED.features if one.name in change)
    try:
        READER.json(body(change))
    except BadRequest as refused:
        assert not fits
        assert all(problem.startswith("instances[0].") for problem in refused.problems)
    else:
        assert fits


def test_an_answers_array_has_one_shape_and_one_kind():
    promise = Promise.of({}, Answers.of({"vector": np.array([[1.0, 2.0]]), "boxes": [[1, 2, 3]]}, 1))
    promise.check(Answers.of({"vector": np.array([[3, 4], [5, 6]]), "boxes": [[], [7]]}, 2))
    for vector, said in (
        (np.array([[1.0, 2.0, 3.0]]), "an array of shape [3], each a number as vector: expected an array of shape [2]"),
        (np.array([["a", "b"]]), "an array of shape [2], each a string as vector"),
        (np.array([1.0]), "no array of one shape as vector"),
        ([[1.0, 2.0]], "no array of one shape as vector"),
    ):
        with pytest.raises(WrongAnswers) as wrong:
            promise.check(Answers.of({"vector": vector, "boxes": [[]]}, 1))
        assert said in str(wrong.value)
    with pytest.raises(WrongAnswers, match="NaN or infinity in vector of row 1"):
        Answers.of({"vector": np.array([[1.0], [np.inf]])}, 2)


def test_tensors_of_the_open_inference_protocol_are_arrays():
    features = Declaration.from_dict(FEATURES[:2])
    reader = Reader(features)
    expected = reader.json(b'{"instances": [{"embedding": [1, 2, 3], "image": [[1, 2], [3, 4]]}]}')
    flat, nested = [1, 2, 3, 4], [[[1, 2], [3, 4]]]
    for image in (flat, nested, None):
        raw = struct.pack("<4B", *flat) if image is None else b""
        given = {"parameters": {"binary_data_size": 4}} if image is None else {"data": image}
        head = json.dumps(
            {
                "inputs": [
                    {"name": "embedding", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]},
                    {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2], **given},
                ]
            }
        ).encode()
        rows, wanted = open_inference.infer(reader, features, str(len(head)).encode(), head + raw)
        np.testing.assert_equal(rows.table, expected.table)
    answers = Answers.of({"vector": np.array([[1.5, 2.5]])}, 1)
    document, _ = open_inference.response("m", "1", wanted, answers, first=0, end=1)
    output = json.loads(document)["outputs"][0]
    assert output == {"name": "vector", "datatype": "FP64", "shape": [1, 2], "data": [1.5, 2.5]}
    about = open_inference.metadata("m", "1", features, answers)
    assert about["inputs"][1] == {"name": "image", "datatype": "UINT8", "shape": [-1, 2, 2]}
    assert about["outputs"] == [{"name": "vector", "datatype": "FP64", "shape": [-1, 2]}]
    wrong = b'{"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 4], "data": [1, 2, 3, 4]}]}'
    with pytest.raises(BadRequest, match=r"inputs.image: shape \[1, 4\] is not allowed: expected \[rows, 2, 2\]"):
        open_inference.infer(reader, features, None, wrong)


def doubling(name: str, kind: int = TensorProto.FLOAT, width: int = 3, rows: str | int = "rows") -> bytes:
    """An ONNX file that doubles its input."""
    made = helper.make_graph(
        [helper.make_node("Add", [name, name], ["twice"])],
        "g",
        [helper.make_tensor_value_info(name, kind, [rows, width])],
        [helper.make_tensor_value_info("twice", kind, [rows, width])],
    )
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString()


def test_an_onnx_file_takes_features_by_name_or_the_table():
    two = Rows(["a", "b"], [(1.0, 2.0)], [])
    assert OnnxFile(doubling("input", TensorProto.DOUBLE, 2)).predict(two)["twice"].tolist() == [[2, 4]]
    array = Rows(["a"], [(np.array([1, 2, 3]),)], [], [0])
    assert OnnxFile(doubling("a")).predict(array)["twice"].tolist() == [[2, 4, 6]]


def test_the_classes_of_a_converted_classifier_are_an_object():
    table = np.array([[0.0], [1.0], [2.0], [3.0]])
    made = LogisticRegression().fit(table, ["a", "a", "b", "b"])
    converted: Any = convert_sklearn(made, initial_types=[("x", FloatTensorType([None, 1]))])
    rows = Rows(["x"], [(0.5,), (2.5,)], [])
    answers = Answers.of(OnnxFile(converted.SerializeToString()).predict(rows), 2).documents(0, 2)
    assert [one["output_label"] for one in answers] == ["a", "b"]
    assert answers[0]["output_probability"]["a"] == pytest.approx(made.predict_proba([[0.5]])[0, 0], rel=1e-5)


def test_an_input_that_is_no_feature_is_named():
    two = helper.make_graph(
        [helper.make_node("Add", ["a", "other"], ["sum"])],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows"]) for name in ("a", "other")],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["rows"])],
    )
    content = helper.make_model(two, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
    with pytest.raises(ValueError, match="the ONNX file has the inputs other: expected some of a, b"):
        OnnxFile(content).predict(Rows(["a", "b"], [(1.0, 2.0)], []))


def test_an_onnx_file_is_served_and_captured_by_its_summaries(tmp_path: Path):
    features = [{"name": "embedding", "kind": "number", "shape": [3], "dtype": "float32"}]
    digest = write(
        tmp_path / "model",
        "",
        features,
        instance={"embedding": [1, 2, 3]},
        weights={"code/model/model.onnx": doubling("embedding")},
        onnx="code/model/model.onnx",
    )
    with served(tmp_path / "model", digest, MODELSTACK_CAPTURE=f"file://{tmp_path}/captures") as server:
        assert server.predictions({"embedding": [0, 3, 4]}) == [{"twice": [0, 6, 8]}]
        status, answer, _ = server.ask({"instances": [{"embedding": [1, 2]}]})
        assert status == 400
        assert answer["error"] == "instances[0].embedding: found a list of 2: expected one of 3, shape [3]"
        assert server.ask(b"1,2,3", Content_Type="text/csv")[0] == 415
    lines = [line for path in (tmp_path / "captures").rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    (one,) = read(lines)
    (row,) = captured.instances(one)
    assert row["embedding"] == pytest.approx(
        {"mean": 7 / 3, "std": (26 / 9) ** 0.5, "min": 0, "max": 4, "norm": 5, "zeros": 1 / 3}
    )
    assert captured.predictions(one) == ({"twice": [0, 6, 8]},)
