"""A server as a client meets it: what it answers, what it refuses, and whom it does not wait for."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.serving.packages import CODE, FEATURES, INSTANCE, Server, served, write

pytestmark = pytest.mark.e2e
BODY = json.dumps({"instances": [INSTANCE]}).encode()
HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def raw(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        yield connection


def answers(connection: socket.socket) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    data = b"".join(iter(lambda: connection.recv(65536), b""))
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
        found.append((int(head.split()[1]), data[:length]))
        data = data[length:]
    return found


def test_each_instance_is_answered_in_order(server: Server):
    far = INSTANCE | {"distance": 6000}
    assert server.predictions(INSTANCE, far) == [{"late": False, "score": 100 / 12000}, {"late": True, "score": 0.5}]


def test_ping_and_metadata_say_what_is_served(server: Server):
    assert server.get("/ping") == (200, b'{"status":"ready"}')
    about = json.loads(server.get("/metadata")[1])
    assert (about["recipe"], about["metrics"], about["features"]) == ("ab" * 32, {"auc": 0.7}, FEATURES)


def test_csv_has_the_features_in_order_and_nothing_for_what_is_missing(server: Server):
    status, answer, _ = server.ask(b"6000,,UA,,true\r\n100,1.5,DL,first,false\n", Content_Type="text/csv")
    assert (status, [one["late"] for one in answer["predictions"]]) == (200, [True, False])


def test_arrays_of_numpy_are_taken_where_all_features_are_numbers(server: Server, tmp_path: Path):
    array = io.BytesIO()
    np.save(array, np.array([[6000.0, np.nan, 1.0]]))
    status, answer, _ = server.ask(array.getvalue(), Content_Type="application/x-npy")
    assert (status, "expected application/json or text/csv" in answer["error"]) == (415, True)
    instance = {"distance": 1, "gust": 1, "night": True}
    digest = write(tmp_path / "m", features=[one for one in FEATURES if one["kind"] != "text"], instance=instance)
    with served(tmp_path / "m", digest) as numeric:
        status, answer, _ = numeric.ask(array.getvalue(), Content_Type="application/x-npy")
        assert (status, answer["predictions"][0]["score"]) == (200, 0.5)
        huge = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 3), }".ljust(
            128
        )
        assert numeric.ask(huge, Content_Type="application/x-npy")[0] == 400
        assert numeric.ask(b"no array", Content_Type="application/x-npy")[0] == 400


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/nothing", 404, "there is no path '/nothing'"),
        ("/" + "x" * 5000, 404, f"there is no path '/{'x' * 55}..."),
        ("/ping", 405, "method POST is not allowed: expected GET, HEAD"),
    ],
)
def test_what_is_not_there_is_told(server: Server, path: str, status: int, said: str):
    found, answer, _ = server.ask({}, path)
    assert (found, answer["error"].startswith(said), len(answer["error"]) < 1000) == (status, True, True)


@pytest.mark.parametrize("path", ["/invocations", "/v2/models/model/infer"])
def test_a_compressed_body_is_415_with_what_is_expected(server: Server, path: str):
    status, answer, _ = server.ask(gzip.compress(BODY), path, Content_Encoding="gzip")
    assert (status, answer["error"]) == (
        415,
        "content encoding 'gzip' is not allowed: expected a body that is not compressed",
    )
    assert server.ask(BODY, Content_Encoding="identity")[0] == 200


def test_another_content_type_is_415_and_a_charset_is_none(server: Server):
    assert server.ask(BODY, Content_Type="application/jsonlines")[0] == 415
    assert server.ask(BODY, Content_Type="Application/JSON; charset=utf-8")[0] == 200


def test_requests_on_one_connection_are_answered_in_order(server: Server):
    far = json.dumps({"instances": [INSTANCE | {"distance": 6000}]}).encode()
    with raw(server) as connection:
        connection.sendall(HEAD % len(BODY) + BODY + HEAD % len(far) + far + HEAD % 2 + b"{}")
        connection.shutdown(socket.SHUT_WR)
        found = answers(connection)
    assert [status for status, _ in found] == [200, 200, 400]
    assert [json.loads(body)["predictions"][0]["late"] for _, body in found[:2]] == [False, True]


@pytest.mark.parametrize("after", [b"", b"no HTTP\r\n\r\n"])
def test_requests_before_the_end_of_a_connection_are_answered(tmp_path: Path, after: bytes):
    code = CODE.replace("miles =", "time.sleep(0.2); miles =")
    with served(tmp_path / "m", write(tmp_path / "m", code)) as slow, raw(slow) as connection:
        connection.sendall((HEAD % len(BODY) + BODY) * 3 + after)
        if not after:
            connection.shutdown(socket.SHUT_WR)
        assert [status for status, _ in answers(connection)] == [200, 200, 200]


def test_what_is_refused_before_it_is_read_is_told_in_the_form_of_every_error(server: Server):
    with raw(server) as connection:
        connection.sendall(HEAD % (7 << 20))
        ((status, body),) = answers(connection)
    assert (status, json.loads(body)["error"]) == (413, "the body is larger than 6,291,456 bytes")


def test_the_trace_of_a_caller_is_passed_on(server: Server):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = server.ask(BODY, traceparent=trace, tracestate="a=1")[2]
    assert (headers["traceparent"], headers["tracestate"]) == (trace, "a=1")
    assert headers["x-modelstack-variant"] is None, "none is set"
    assert server.ask(b"{}", traceparent=trace)[2]["traceparent"] == trace
    assert server.ask(BODY, traceparent="mine")[2]["traceparent"] is None


def test_a_failure_writes_one_line_and_a_success_none(tmp_path: Path):
    with served(tmp_path / "m", write(tmp_path / "m")) as server:
        server.predictions(INSTANCE)
        server.ask({"instances": [INSTANCE | {"carrier": "secret"}]}, X_Amzn_SageMaker_Inference_Id="id-1")
        while not server.failures():
            time.sleep(0.01)
        (line,) = server.failures()
    assert (line["kind"], line["status"], line["path"]) == ("bad_request", 400, "/invocations")
    assert line["inference_id"] == "id-1"
    assert "secret" not in "".join(server.said)


def test_each_answer_names_the_variant_where_one_is_set(tmp_path: Path):
    with served(tmp_path / "m", write(tmp_path / "m"), MODELSTACK_VARIANT="v-3f0c") as server:
        asked = [server.ask({"instances": [INSTANCE]}), server.ask(b"{}"), server.ask(b"", "/nothing")]
        asked.append(server.ask({"instances": [INSTANCE]}, more="x" * 70_000))
    assert [status for status, _, _ in asked] == [200, 400, 404, 431]
    assert [headers["x-modelstack-variant"] for _, _, headers in asked] == ["v-3f0c"] * 4
    assert [headers["x-envoy-upstream-canary"] for _, _, headers in asked] == ["true"] * 4, "Envoy counts them apart"


def test_metrics_count_what_happened(tmp_path: Path):
    with served(tmp_path / "m", write(tmp_path / "m"), MODELSTACK_MODEL="flights") as server:
        server.predictions(INSTANCE, INSTANCE)
        server.ask(b"{}")
        server.ask(b"", "/nothing")
        told = {"model": "flights", "recipe": "ab" * 32}
        assert server.count("serving_requests_total", **told) == 3
        assert server.count("serving_rows_total", **told) == 2
        assert server.count("serving_failures_total", kind="bad_request") == 1
        assert server.count("serving_failures_total", kind="not_found") == 1
        assert server.count("serving_latency_seconds_count", **told) == 1
        assert server.count("serving_batch_rows_bucket", le="2.0") == 1
        assert server.count("serving_batch_rows_bucket", le="1.0") == 0


def test_requests_that_come_while_a_batch_runs_are_the_next_batch(tmp_path: Path):
    code = CODE.replace("miles =", "time.sleep(0.3); miles =")
    with served(tmp_path / "m", write(tmp_path / "m", code)) as server:
        asked = [INSTANCE | {"distance": float(number)} for number in range(40)]
        found: dict[int, float] = {}

        def ask(number: int) -> None:
            found[number] = server.predictions(asked[number])[0]["score"]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        assert server.get("/ping")[0] == 200, "a slow prediction holds no ping up"
        for thread in threads:
            thread.join()
        assert found == {number: number / 12000 for number in range(40)}, "each got its own answer"
        assert server.count("serving_batch_rows_count") < 20
        assert server.count("serving_rows_total") == 40


def test_more_than_the_queue_holds_is_told_to_come_again(tmp_path: Path):
    code = CODE.replace("miles =", "time.sleep(1); miles =")
    with served(tmp_path / "m", write(tmp_path / "m", code)) as server:
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=60) for _ in range(600)]
        for connection in connections:
            connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
        found = [connection.getresponse() for connection in connections]
        told = [(one.status, one.headers["Retry-After"]) for one in found]
        for connection in connections:
            connection.close()
        assert {status for status, _ in told} == {200, 503}
        assert {after for status, after in told if status == 503} == {"1"}
        assert server.count("serving_failures_total", kind="overloaded") == sum(status == 503 for status, _ in told)


def test_workers_share_the_load_and_count_together(tmp_path: Path):
    with served(tmp_path / "m", write(tmp_path / "m"), SAGEMAKER_MODEL_SERVER_WORKERS="2") as server:
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(8)]
        for connection in connections:
            connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
        assert {connection.getresponse().status for connection in connections} == {200}
        for connection in connections:
            connection.close()
        assert server.count("serving_rows_total") == 8
        assert len(server.workers()) == 2


def test_a_client_of_http_1_0_is_told_that_its_connection_stays(server: Server):
    head = b"POST /invocations HTTP/1.0\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    with raw(server) as connection:
        connection.sendall(head % (b"Connection: keep-alive\r\n", len(BODY)) + BODY)
        assert b"\r\nConnection: keep-alive\r\n" in connection.recv(65536)
        connection.sendall(head % (b"", len(BODY)) + BODY)
        assert [status for status, _ in answers(connection)] == [200]
