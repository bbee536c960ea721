"""Models that raise, answer nonsense, crash or hang; packages that are not what was sealed; restarts under load."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.serving.packages import CODE, INSTANCE, Server, refused, served, write

pytestmark = pytest.mark.e2e
BODY = json.dumps({"instances": [INSTANCE]}).encode()
FRAIL = """
import os, signal, time
from modelstack.serving.sealed import Sealed

def load(folder):
    return Sealed(None)

def predict(model, rows):
    miles = rows.table[:, 0].astype(float)
    for row in miles:
        if row == 1:
            raise ValueError("one is no distance")
        if row == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if row == 3:
            return {"score": [0.5]}
        if row == 4:
            return {"score": miles * float("nan")}
        if row == 5:
            time.sleep(1)
        if row == 6:
            time.sleep(3600)
        if row == 7:
            return [0.5]
        if row == 8:
            raise SystemExit(0)
        if row == 10:
            return {"points": miles}
        if row == 11:
            return {"score": ["far"] * len(miles)}
    return {"score": miles / 12000}
"""


def at(distance: float) -> dict[str, object]:
    return INSTANCE | {"distance": distance}


@pytest.fixture(scope="module")
def frail(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("frail") / "m"
    with served(
        folder, write(folder, FRAIL), SAGEMAKER_MODEL_SERVER_TIMEOUT="4", MODELSTACK_VARIANT="v-frail"
    ) as server:
        yield server


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (1, "ValueError: one is no distance"),
        (3, "predict returned 1 values of score for 2 rows"),
        (4, "predict returned nan as score of row 0"),
        (7, "predict returned list: expected a mapping, name -> a value for each row"),
        (10, "predict returned the fields points: expected score"),
        (11, "predict returned a string as score of row 0: expected a number or null"),
    ],
)
def test_a_model_that_raises_or_answers_nonsense_is_500_with_the_reason(frail: Server, distance: int, said: str):
    status, answer, _ = frail.ask({"instances": [at(distance), at(9)]})
    assert (status, answer) == (500, {"error": said})
    assert frail.predictions(at(6000)) == [{"score": 0.5}]


def together(server: Server, *distances: float) -> dict[float, tuple[int, object]]:
    """Send requests in one batch: they arrive while a slow one is predicted."""
    found: dict[float, tuple[int, object]] = {}

    def ask(distance: float) -> None:
        found[distance] = server.ask({"instances": [at(distance)]})[:2]

    first = threading.Thread(target=ask, args=(5,))
    first.start()
    time.sleep(0.3)
    threads = [threading.Thread(target=ask, args=(distance,)) for distance in distances]
    for thread in threads:
        thread.start()
    for thread in [first, *threads]:
        thread.join()
    return found


def test_a_row_that_fails_fails_no_other_request_of_its_batch(frail: Server):
    server = frail
    server.ask({"instances": [at(5)]})  # so that the next predictions are known to be slow, and run in a thread
    found = together(server, 1, 4, 120, 240)
    assert {distance: status for distance, (status, _) in found.items()} == {5: 200, 1: 500, 4: 500, 120: 200, 240: 200}
    assert found[120][1] == {"predictions": [{"score": 0.01}]}
    assert found[240][1] == {"predictions": [{"score": 0.02}]}


@pytest.mark.parametrize("distance", [2, 8])
def test_a_crash_is_told_to_its_own_request_and_to_no_other_connection(frail: Server, distance: int):
    before = frail.count("serving_restarts_total")
    idle = http.client.HTTPConnection("127.0.0.1", frail.port, timeout=60)
    idle.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
    assert idle.getresponse().read()
    status, answer, headers = frail.ask({"instances": [at(distance)]})
    assert (status, answer) == (500, {"error": "the process that predicted ended"})
    assert headers["x-modelstack-variant"] == "v-frail", "this is no answer of a gateway"
    kept = idle.sock
    idle.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
    assert idle.getresponse().status == 200
    assert idle.sock is kept, "the connection outlived the process that served it"
    idle.close()
    assert frail.count("serving_restarts_total") == before + 1


@pytest.mark.parametrize("known_to_be_slow", [True, False])
def test_a_prediction_that_does_not_end_is_504_and_others_go_on(frail: Server, known_to_be_slow: bool):
    for _ in range(1 if known_to_be_slow else 0):
        frail.ask({"instances": [at(5)]})
    status, answer, _ = frail.ask({"instances": [at(6)]})
    assert status == 504
    assert "did not answer" in answer["error"]
    assert frail.predictions(at(6000)) == [{"score": 0.5}]


def test_a_model_that_cannot_answer_its_own_example_is_never_ready(tmp_path: Path):
    digest = write(tmp_path / "m", CODE.replace("miles > 1000", "miles * float('nan')"))
    status, said = refused(tmp_path / "m", digest)
    assert (status, said) == (
        3,
        "cannot serve: the model's code failed: WrongAnswers: predict returned nan as late of row 0",
    )


def load(port: int, stop: threading.Event, lost: list[str], answered: list[int]) -> None:
    """Ask on one connection as long as it lasts, then on the next one; a refused connection is no request yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not stop.is_set():
        try:
            connection.connect() if connection.sock is None else None
        except OSError:
            time.sleep(0.02)
            continue
        try:
            connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            answered.append(answer.status)
        except (OSError, http.client.HTTPException) as error:
            lost.append(repr(error))
            connection.close()
    connection.close()


def test_a_restart_under_load_loses_nothing(tmp_path: Path):
    digest = write(tmp_path / "m")
    stop, lost, answered = threading.Event(), [], []
    with served(tmp_path / "m", digest) as first:
        port = first.port
        threads = [threading.Thread(target=load, args=(port, stop, lost, answered)) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        os.kill(first.process.pid, signal.SIGTERM)
        assert first.process.wait(30) == 0
    with served(tmp_path / "m", digest):
        time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    assert lost == []
    assert set(answered) == {200}
    assert len(answered) > 50


def test_a_supervisor_that_is_killed_leaves_no_worker(tmp_path: Path):
    with served(tmp_path / "m", write(tmp_path / "m")) as server:
        (worker,) = server.workers()
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 120
        while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{worker}").exists()


def test_a_signal_to_the_whole_group_drains_as_one_to_the_supervisor_does(tmp_path: Path):
    code = CODE.replace("miles =", "time.sleep(1); miles =")
    with served(tmp_path / "m", write(tmp_path / "m", code)) as server:
        found: list[int] = []
        client = threading.Thread(target=lambda: found.append(server.ask({"instances": [INSTANCE]})[0]))
        client.start()
        time.sleep(0.5)
        for pid in [*server.workers(), server.process.pid]:
            os.kill(pid, signal.SIGINT)
        client.join()
        assert server.process.wait(30) == 0
    assert found == [200]


def test_a_model_has_answered_its_example_many_times_before_it_gets_traffic(tmp_path: Path):
    code = CODE.replace("miles =", "CALLS.append(1); miles =").replace("miles / 12000", "miles * 0.0 + len(CALLS)")
    with served(tmp_path / "m", write(tmp_path / "m", "CALLS = []\n" + code)) as server:
        answer = server.ask({"instances": [INSTANCE]})[1]
    (prediction,) = answer["predictions"]
    assert prediction["score"] == 202


def test_a_model_that_fails_in_its_warm_up_serves_all_the_same(tmp_path: Path):
    code = CODE.replace("miles =", "CALLS.append(1); assert len(CALLS) != 2; miles =")
    with served(tmp_path / "m", write(tmp_path / "m", "CALLS = []\n" + code)) as server:
        assert server.ask({"instances": [INSTANCE]})[0] == 200


def test_an_answer_of_which_a_part_has_left_is_not_answered_a_second_time(tmp_path: Path):
    code = CODE.replace(
        'return {"late": miles > 1000, "score": miles / 12000}',
        'return {"late": ["x" * (100000 if len(miles) > 1 else 1) for _ in miles]}',
    ).replace("miles =", "os.kill(os.getpid(), signal.SIGSEGV) if rows.values[0][0] == 2 else None; miles =")
    with served(tmp_path / "m", write(tmp_path / "m", code)) as server:
        (worker,) = server.workers()
        other = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        other.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
        assert other.getresponse().read()
        body = json.dumps({"instances": [INSTANCE] * 500}).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
            head = b"POST /invocations HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            slow.sendall(head % len(body) + body)
            said = slow.recv(65536)
            # The supervisor hears of the crash when there is room again for a second answer.
            server.process.send_signal(signal.SIGSTOP)
            crash = json.dumps({"instances": [at(2)]}).encode()
            other.request("POST", "/invocations", crash, {"Content-Type": "application/json"})
            while Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
            while select.select([slow], [], [], 0.2)[0]:
                said += slow.recv(1 << 20)
            server.process.send_signal(signal.SIGCONT)
            assert other.getresponse().status == 500, "the process ended while it wrote fifty megabytes"
            said += b"".join(iter(lambda: slow.recv(1 << 20), b""))
        other.close()
    assert said.startswith(b"HTTP/1.1 200 OK")
    assert said.count(b"HTTP/1.1") == 1
    assert len(said) < 50_000_000


def test_connections_beyond_the_limit_on_descriptors_wait_and_cost_nothing(tmp_path: Path):
    with served(tmp_path / "m", write(tmp_path / "m"), descriptors=100) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(200)]
        time.sleep(0.5)
        before = psutil.Process(server.process.pid).cpu_times()
        time.sleep(2)
        after = psutil.Process(server.process.pid).cpu_times()
        for connection in idle:
            connection.close()
        assert server.predictions(INSTANCE) == [{"late": False, "score": 100 / 12000}]
    assert after.user + after.system - before.user - before.system < 1
    assert [line for line in server.said if "could not" in line] == []
