"""Whatever a client sends, it is answered, by no 5xx, and the server goes on."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.serving.declaration import Declaration, Feature
from tests.serving.packages import FEATURES, INSTANCE, Server

pytestmark = pytest.mark.e2e
DECLARED = Declaration.from_dict(FEATURES)
PATHS = ["/invocations", "/v2/models/model/infer"]


def allowed(feature: Feature) -> st.SearchStrategy[Any]:
    values: st.SearchStrategy[Any]
    if feature.kind == "boolean":
        values = st.booleans()
    elif feature.kind == "number":
        values = st.floats(feature.low, feature.high) | st.integers(
            int(max(feature.low, -1e9)), int(min(feature.high, 1e9))
        )
    elif feature.categories:
        values = st.sampled_from(feature.categories)
    else:
        values = st.from_regex(feature.pattern, fullmatch=True)
    return st.none() | values if feature.optional else values


instances = st.fixed_dictionaries({one.name: allowed(one) for one in DECLARED.features})
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["UA", "FP64", "BYTES", 1, 2]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
tensors = st.fixed_dictionaries(
    {"name": st.sampled_from([*INSTANCE, "x"]), "shape": st.lists(st.integers(-2, 3), max_size=2)},
    optional={
        "datatype": st.sampled_from(["FP64", "BOOL", "BYTES", "INT8", "FP16", "x"]),
        "data": documents,
        "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "binary_data"]), st.integers(-1, 40)),
    },
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=6)}, optional={"outputs": documents, "id": st.text()}
)


def post(server: Server, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@given(st.lists(instances, min_size=1, max_size=5))
def test_whatever_is_declared_is_answered(server: Server, given: list[dict[str, Any]]):
    status, answer = post(
        server, "/invocations", json.dumps({"instances": given}).encode(), {"Content-Type": "application/json"}
    )
    assert (status, len(answer.get("predictions", ()))) == (200, len(given)), answer


@given(st.sampled_from(PATHS), documents | requests | st.fixed_dictionaries({"instances": documents}))
def test_no_document_is_the_servers_fault(server: Server, path: str, given: Any):
    status, answer = post(server, path, json.dumps(given).encode(), {"Content-Type": "application/json"})
    assert status == 400, answer
    assert answer["error"] == answer["problems"][0]


@given(
    st.sampled_from(PATHS),
    st.binary(max_size=300),
    st.sampled_from(["application/json", "text/csv", "application/x-npy", "application/octet-stream", "x"]),
    st.none() | st.integers(-1, 400),
)
def test_no_bytes_are_the_servers_fault(server: Server, path: str, body: bytes, kind: str, length: int | None):
    headers = {"Content-Type": kind} | ({} if length is None else {"Inference-Header-Content-Length": str(length)})
    assert post(server, path, body, headers)[0] in (400, 415)


@given(st.binary(min_size=1, max_size=400), st.booleans())
def test_what_is_no_http_ends_its_own_connection_only(server: Server, data: bytes, as_head: bool):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\n" + data + b"\r\n\r\n" if as_head else data)
        connection.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    assert not said or said.split(b" ", 2)[1][:1] == b"4", said
    assert server.get("/ping")[0] == 200
