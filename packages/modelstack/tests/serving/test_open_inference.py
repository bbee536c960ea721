"""The Open Inference Protocol, spoken to by Triton's own client."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.serving.packages import INSTANCE, Server

pytestmark = pytest.mark.e2e
COLUMNS: dict[str, tuple[str, NDArray[Any]]] = {
    "distance": ("FP64", np.array([100.0, 6000.0])),
    "gust": ("FP32", np.array([1.5, np.nan], dtype=np.float32)),
    "carrier": ("BYTES", np.array(["UA", "DL"], dtype=object)),
    "night": ("BOOL", np.array([True, False])),
}


@pytest.fixture(scope="module")
def client(server: Server):
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        yield client


def inputs(*, binary: bool, **changes: tuple[str, NDArray[Any]]) -> list[Any]:
    found: list[Any] = []
    for name, (datatype, values) in {**COLUMNS, **changes}.items():
        tensor = triton.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values, binary_data=binary)
        found.append(tensor)
    return found


def test_health_and_metadata(client: Any):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("model")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    about = client.get_model_metadata("model")
    assert about["inputs"][0] == {"name": "distance", "datatype": "FP64", "shape": [-1]}
    assert {one["name"]: one["datatype"] for one in about["outputs"]} == {"late": "BOOL", "score": "FP64"}
    assert client.get_model_metadata("model", about["versions"][0]) == about


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("received", [True, False])
def test_tensors_as_json_or_as_bytes_give_the_same_answer(client: Any, sent: bool, received: bool):
    outputs = [triton.InferRequestedOutput(name, binary_data=received) for name in ("score", "late")]
    columns = {} if sent else {"gust": ("FP32", np.array([1.5, 2.5], dtype=np.float32))}  # JSON has no NaN
    found = client.infer("model", inputs(binary=sent, **columns), outputs=outputs, request_id="mine")
    np.testing.assert_array_equal(found.as_numpy("score"), [100 / 12000, 0.5])
    np.testing.assert_array_equal(found.as_numpy("late"), [False, True])
    assert found.get_response()["id"] == "mine"


def test_whole_numbers_and_columns_of_one_are_taken_and_all_outputs_given_where_none_is_named(client: Any):
    columns = {"distance": ("INT32", np.array([[100], [6000]], dtype=np.int32))}
    found = client.infer("model", inputs(binary=True, **columns))
    assert [one["name"] for one in found.get_response()["outputs"]] == ["late", "score"]
    np.testing.assert_array_equal(found.as_numpy("late"), [False, True])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"distance": ("FP64", np.array([-1.0, 0.0]))}, "instances[0].distance: -1.0 is not allowed"),
        ({"carrier": ("BYTES", np.array(["UA", "ua"], dtype=object))}, "instances[1].carrier: 'ua' is not allowed"),
        ({"speed": ("FP64", np.array([1.0, 1.0]))}, "inputs.'speed': unknown input; expected distance"),
        ({"night": ("BOOL", np.array([True]))}, "inputs: found [1, 2] rows: expected as many in each"),
        ({"distance": ("FP64", np.ones((2, 3)))}, "inputs.distance: shape [2, 3] is not allowed: expected [rows]"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_in_words(client: Any, changes: dict[str, Any], said: str):
    with pytest.raises(InferenceServerException) as refused:
        client.infer("model", inputs(binary=True, **changes))
    assert said in str(refused.value)


def test_an_output_that_is_not_there_is_refused(client: Any):
    with pytest.raises(InferenceServerException, match="outputs: 'age' is not allowed: expected late, score"):
        client.infer("model", inputs(binary=True), outputs=[triton.InferRequestedOutput("age")])


def test_a_model_of_another_name_is_not_there(client: Any):
    with pytest.raises(InferenceServerException, match="there is no path"):
        client.infer("other", inputs(binary=True))


@pytest.mark.parametrize(
    ("body", "length", "said"),
    [
        (b"{}", None, "the body is no inference request"),
        (b"{}", "9", "Inference-Header-Content-Length is '9': expected 0 to 2"),
        (b"[" * 99_999, None, "the body is n"),
        (b'{"inputs": []}', None, "inputs: found [] rows"),
        (b'{"inputs": [{"name": "gust", "shape": [1], "datatype": "FP64", "data": 3}]}', None, "data is 3"),
        (
            b'{"inputs": [{"name": "gust", "shape": [1], "datatype": "FP99", "parameters": {"binary_data_size": 0}}]}',
            None,
            "datatype 'FP99' is not allowed",
        ),
        (
            b'{"inputs": [{"name": "carrier", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}}'
            b"]}\x09\x00\x00\x00UA",
            "107",
            "its bytes are no BYTES: a text of 9 bytes is cut off",
        ),
    ],
)
def test_bytes_that_are_no_request_are_refused_in_words(server: Server, body: bytes, length: str | None, said: str):
    headers = {"Inference_Header_Content_Length": length} if length else {}
    status, answer, _ = server.ask(body, "/v2/models/model/infer", **headers)
    assert (status, said in answer["error"]) == (400, True), answer


def test_the_same_instance_is_answered_alike_in_both_protocols(server: Server):
    tensors = [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in INSTANCE.items()]
    status, answer, _ = server.ask({"inputs": tensors}, "/v2/models/model/infer")
    assert status == 200
    flat = {one["name"]: one["data"][0] for one in answer["outputs"]}
    assert [flat] == server.predictions(INSTANCE)
