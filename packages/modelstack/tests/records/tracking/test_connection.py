"""How MLflow is asked: within its time, in whose name, and what is said when there is no answer."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from modelstack.platforms.aws.mlflow import address, mlflow, signed
from modelstack.records.tracking.connection import Connection, MlflowError, Refused, Silent, bearer
from tests.records.tracking.small_mlflow import small_mlflow

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}
SERVER = "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-tracking-server/flight-delay-prod-mlflow"
APP = "arn:aws:sagemaker:eu-west-1:111122223333:mlflow-app/app-AB12CD34"


@contextmanager
def answering(says: Callable[[socket.socket], None]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    says(client)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def dripping(client: socket.socket) -> None:
    client.recv(10_000)
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(100):
        time.sleep(0.05)
        try:
            client.sendall(b" ")
        except OSError:
            return


@pytest.mark.slow
@pytest.mark.parametrize("says", [lambda client: client.recv(10_000) and time.sleep(3), dripping])
def test_a_server_that_does_not_come_to_an_end_is_left_when_the_time_is_over(
    says: Callable[[socket.socket], None],
) -> None:
    came = 0

    def counted(client: socket.socket) -> None:
        nonlocal came
        came += 1
        says(client)

    with answering(counted) as url:
        connection = Connection.to(url, bearer({}), seconds=0.4)
        for _ in range(3):
            with pytest.raises(Silent, match="does not answer"):
                connection.call("GET", "runs/get")
        assert came == 1, "the calls after the first have no time of their own"


def test_a_server_that_is_not_there_is_told_of_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Silent, match=f"{url} does not answer .ConnectionRefused"):
        Connection.to(url, bearer({}), 5).call("GET", "runs/get")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", Refused, "it is no MLflow server"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://evil.example\r\nContent-Length: 0\r\n\r\n", Refused, "302"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nForbidden", Refused, "refuses runs/get .403.: Forbidden"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nbroken", Refused, "refuses runs/get .500.: broken"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", Silent, "answers runs/get with 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 9_000_000, Silent, "more than"),
        (b"nonsense\r\n\r\n", Silent, "BadStatusLine"),
    ],
)
def test_whatever_it_answers_is_an_error_that_says_so(answer: bytes, kind: type[MlflowError], said: str) -> None:
    def say(client: socket.socket) -> None:
        client.recv(10_000)
        try:
            client.sendall(answer)
        except OSError:
            return  # it has hung up

    with answering(say) as url, pytest.raises(kind, match=said):
        Connection.to(url, bearer({}), 5).call("GET", "runs/get")


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_TOKEN": "t0ken", "MLFLOW_TRACKING_USERNAME": "ada"}, "Bearer t0ken"),
        (
            {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "pä"},
            f"Basic {base64.b64encode('ada:pä'.encode()).decode()}",
        ),
    ],
)
def test_who_asks_is_told_as_mlflows_own_clients_tell_it(environ: dict[str, str], header: str | None) -> None:
    with small_mlflow() as known, mlflow(known.url, environ, 5) as api:
        api.experiment("flights")
        assert known.headers.get("Authorization") == header
        assert "t0ken" not in repr(api)


@pytest.mark.parametrize("arn", [SERVER, APP])
def test_a_managed_mlflow_is_asked_with_awss_signature_over_which_one_and_what(
    arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    with small_mlflow() as known, mlflow(arn, {"SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": known.url}, 5) as api:
        api.create_run("1", "a name", 1, {"package_digest": "sha256:a"})
        head = known.headers
    assert head["x-mlflow-sm-tracking-server-arn"] == arn
    scope = head["Authorization"].partition("Credential=")[2].partition(",")[0]
    assert scope.split("/")[0] == "AKIDEXAMPLE" and scope.endswith("/eu-west-1/sagemaker-mlflow/aws4_request")
    over = head["Authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-content-sha256", "x-amz-date", "x-mlflow-sm-tracking-server-arn"} <= {*over}
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in repr(api)


def test_what_is_no_managed_mlflow_is_refused() -> None:
    with pytest.raises(MlflowError, match="is no ARN of a tracking server or an app"):
        signed("arn:aws:sagemaker:eu-west-1:111122223333:endpoint/a", {})


def test_servers_and_apps_answer_where_awss_plugin_looks_for_them() -> None:
    assert address("aws", "eu-west-1", "mlflow-tracking-server") == "https://eu-west-1.experiments.sagemaker.aws"
    assert address("aws", "eu-west-1", "mlflow-app") == "https://mlflow.sagemaker.eu-west-1.app.aws"
