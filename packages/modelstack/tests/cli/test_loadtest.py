"""`modelstack loadtest` and `modelstack serve`: a package without a cloud, under a load that does not flatter it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from click.testing import CliRunner

from localcloud.testing import free_port
from modelstack.cli.loadtest import Load, LoadResult, LoadTarget, _PreciseSelector, plotted, run, summed_up
from modelstack.cli.main import main
from modelstack.cli.target import Target
from tests.platforms.http_endpoint import a_gateway
from tests.serving.packages import CODE, INSTANCE, ROOT, served, write

BODY = json.dumps({"instances": [INSTANCE]}).encode()


def test_percentiles_are_of_what_was_seen():
    found = LoadResult(latencies=[number / 1000 for number in range(1, 101)])
    assert (found.at(0), found.at(50), found.at(99), found.at(100)) == (0.001, 0.05, 0.099, 0.1)
    lines = plotted(found)
    assert lines[0].split()[:3] == ["fastest", "1.00", "ms"]
    assert lines[-1].count("█") == 50
    assert plotted(LoadResult()) == []


@pytest.mark.slow
def test_the_selector_wakes_within_the_millisecond():
    late: list[float] = []
    with _PreciseSelector() as selector:
        for _ in range(50):
            begun = time.monotonic()
            assert selector.select(0.0102) == []  # epoll would take the next whole millisecond, 0.8 ms later
            late.append(time.monotonic() - begun - 0.0102)
    assert 0 <= min(late) < 0.0005


def test_what_failed_is_summed_up():
    found = LoadResult(seconds=2.0, unanswered=3)
    found.statuses.update({200: 10, 503: 2, 0: 1})
    found.refusals[503] = "too many requests wait"
    assert summed_up(found, Load(rate=5)) == [
        "10 answers in 2.0 s: 5 a second (5 requests a second were asked for)",
        "1 lost their connection",
        "2 were answered 503, the first with: too many requests wait",
        "3 had no answer 10 s after the end",
    ]


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        *(
            ("--url", value, "expected http://HOST:PORT or https://HOST:PORT")
            for value in ("here:80", "https://", "http://", "ftp://x")
        ),
        *(("--content-type", value, "expected one such as text/csv") for value in ("", "text/csv\r\nX: 1", "text/ç")),
    ],
)
def test_a_url_or_a_content_type_that_is_none_is_refused(option: str, value: str, told: str, tmp_path: Path):
    (tmp_path / "body").write_bytes(BODY)
    done = CliRunner().invoke(main, ["loadtest", str(tmp_path / "body"), option, value])
    assert (done.exit_code, told in done.output) == (2, True)


@pytest.mark.parametrize(
    ("url", "port", "speaks_tls"),
    [("http://here", 80, False), ("https://here", 443, True), ("https://here:8443/", 8443, True)],
)
def test_a_url_without_a_port_means_that_of_its_scheme(url: str, port: int, speaks_tls: bool):
    target = LoadTarget.of(url)
    assert (target.host, target.port, target.path) == ("here", port, "/invocations")
    assert (target.tls is not None) is speaks_tls


def test_a_server_that_is_not_there_is_told(tmp_path: Path):
    (tmp_path / "body").write_bytes(BODY)
    done = CliRunner().invoke(main, ["loadtest", str(tmp_path / "body"), "--url", f"http://127.0.0.1:{free_port()}"])
    assert (done.exit_code, "nothing answers at 127.0.0.1" in done.output) == (3, True)


@pytest.mark.parametrize("rate", ["0", "20"])
def test_requests_to_an_endpoint_on_aws_are_signed_and_signed_again(
    rate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
    monkeypatch.setattr(
        "modelstack.cli.commands.packages.find", lambda asked: Target("dev", "e", "eu-west-1", {}, keys)
    )
    monkeypatch.setattr("modelstack.cli.loadtest._SIGNED_SECONDS", 0.1)
    (tmp_path / "body").write_bytes(BODY)
    with a_gateway() as gateway:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gateway.url)
        words = ["loadtest", str(tmp_path / "body"), "--stack", "dev", "--for", "0.5", "--rate", rate, "--json"]
        done = CliRunner().invoke(main, words)
    assert (done.exit_code, json.loads(done.output)["statuses"].keys()) == (0, {"200"}), done.output
    assert {headers["path"] for headers, _ in gateway.asked} == {"/endpoints/e/invocations"}
    assert {body for _, body in gateway.asked} == {BODY}
    assert all(headers["authorization"] == signed_by(keys, headers) for headers, _ in gateway.asked)
    assert len({headers["amz-sdk-invocation-id"] for headers, _ in gateway.asked}) > 2


def signed_by(keys: dict[str, str], headers: dict[str, str]) -> str:
    """What AWS computes from the headers of a request with BODY."""
    request = AWSRequest("POST", f"http://{headers['host']}{headers['path']}", data=BODY)
    names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    for name in names:
        request.headers[name] = headers[name]
    request.context["timestamp"] = headers["x-amz-date"]
    given = Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])
    auth = SigV4Auth(given, "sagemaker", "eu-west-1")
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    scope = f"AKIA/{auth.credential_scope(request)}"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={';'.join(names)}, Signature={signature}"


def test_the_usual_port_is_not_in_the_header_of_the_host_which_is_signed():
    assert b"\r\nHost: here\r\n" in LoadTarget.of("https://here").request(b"")
    assert b"\r\nHost: here:8443\r\n" in LoadTarget.of("https://here:8443").request(b"")


@pytest.mark.e2e
def test_a_latency_counts_from_when_its_request_was_due(tmp_path: Path):
    code = CODE.replace("miles =", "time.sleep(0.1); miles =")
    with served(tmp_path / "m", write(tmp_path / "m", code)) as server:
        target = LoadTarget("127.0.0.1", server.port)
        alone = run(target, BODY, Load(seconds=1, connections=1))
        late = run(target, BODY, Load(rate=20, seconds=1, connections=1))
    assert alone.statuses.keys() == late.statuses.keys() == {200}
    assert late.statuses[200] == 20
    assert late.at(100) > 0.6, "the twentieth request was due when half of those before it were still waiting"
    assert alone.at(50) < 0.4


@pytest.mark.e2e
def test_a_load_is_shown_and_told_as_json(tmp_path: Path):
    (tmp_path / "body").write_bytes(BODY)
    (tmp_path / "bad").write_bytes(b"{}")
    with served(tmp_path / "m", write(tmp_path / "m")) as server:
        given = ["--url", server.url, "--for", "0.3", "--connections", "2"]
        shown = CliRunner().invoke(main, ["loadtest", str(tmp_path / "body"), *given])
        told = CliRunner().invoke(main, ["loadtest", str(tmp_path / "body"), *given, "--rate", "50", "--json"])
        bad = CliRunner().invoke(main, ["loadtest", str(tmp_path / "bad"), *given])
        given += ["--content-type", "text/csv", "--json"]
        csv = CliRunner().invoke(main, ["loadtest", str(tmp_path / "bad"), *given])
    assert (shown.exit_code, "slowest" in shown.output) == (0, True)
    assert json.loads(csv.output)["refusals"] == {"400": "line 1: found 1 values: expected 5, one for each feature"}
    document = json.loads(told.output)
    assert (told.exit_code, document["statuses"], document["latency_ms"].keys() >= {"50", "99"}) == (
        0,
        {"200": 15},
        True,
    )
    assert bad.exit_code == 1
    assert "were answered 400, the first with: the body has fields none: expected an object with the one" in bad.output


@pytest.mark.e2e
def test_a_package_is_served_until_ctrl_c(sealed: Any):
    port = free_port()
    command = [
        sys.executable,
        "-c",
        "from modelstack.cli.main import main; main()",
        "serve",
        str(sealed.path),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metadata", timeout=5) as answer:
                    assert json.loads(answer.read())["recipe"] == sealed.recipe
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.e2e
def test_a_package_that_was_changed_is_not_served(sealed: Any, tmp_path: Path):
    changed = tmp_path / "model.tar.gz"
    content = bytearray(sealed.path.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    done = CliRunner().invoke(main, ["serve", str(changed)])
    assert done.exit_code == 1
    assert str(changed) in done.output
