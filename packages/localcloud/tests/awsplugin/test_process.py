"""The plugin's process: how it starts, what it refuses, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from localcloud.awsplugin import services
from localcloud.awsplugin.cloud import Settings, require_loopback
from localcloud.awsplugin.failures import InvalidError
from localcloud.awsplugin.wire import UNKNOWN, encode_map

BUCKET = "aws:s3/bucket:Bucket"
REGION = {"AWS_REGION": "us-east-1"}
HERE = {**REGION, "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}


def test_it_loads_neither_the_sdk_nor_botocore_to_start() -> None:
    code = (
        "import sys, localcloud.awsplugin.server as s; s.serve();"
        "print([m for m in ('pulumi', 'pulumi_aws', 'botocore', 'boto3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_checks_and_diffs_and_previews_need_no_network(offline: Any) -> None:
    inputs = offline.check(BUCKET, {"tags": {"a": "b"}})
    foreseen = offline.foresee(BUCKET, inputs)
    assert foreseen["bucket"] == inputs["bucket"]
    assert foreseen["arn"] is UNKNOWN
    assert foreseen["tagsAll"] == {"a": "b"}
    made = offline.record(BUCKET, inputs["bucket"], inputs, encode_map({**foreseen, "arn": "arn"}))
    assert offline.changes(made, {**inputs, "tags": {}}) == {"tags"}
    updated = offline.update(made, {**inputs, "tags": {}}, preview=True)
    assert updated.state["tagsAll"] == {}
    assert updated.state["arn"] == "arn"


def test_the_schema_that_an_import_asks_for_has_each_type_that_it_refers_to(offline: Any) -> None:
    package = json.loads(offline.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert package["resources"].keys() == set(services.TYPES)
    assert package["resources"][BUCKET]["inputProperties"]["bucket"] == {"type": "string"}
    referred = set(re.findall(r'"#/types/([^"]+)"', json.dumps(package)))
    assert referred
    assert referred <= package["types"].keys()


def test_a_cloud_that_does_not_answer_is_named(offline: Any) -> None:
    with pytest.raises(grpc.RpcError, match=r"the local cloud at http://127.0.0.1:9 does not answer .* is it running"):
        offline.create(BUCKET, {})
    with pytest.raises(grpc.RpcError, match="does not answer"):
        offline.call("aws:index/getCallerIdentity:getCallerIdentity")


def test_a_type_that_is_not_served_is_named_with_those_that_are(offline: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        offline.check("aws:ec2/vpc:Vpc", {})
    reason = caught.value.details()
    assert "does not serve aws:ec2/vpc:Vpc" in reason
    assert all(token in reason for token in services.TYPES)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_an_outer_endpoint_is_refused_when_the_provider_is_configured(start_plugin: Any, shell_of: Any) -> None:
    with start_plugin(shell_of("https://sts.us-east-1.amazonaws.com")) as port:
        stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
        with pytest.raises(grpc.RpcError, match="serves loopback endpoints only; use the genuine plugin"):
            stub.Configure(provider_pb2.ConfigureRequest(args=encode_map({})))
        answer = stub.CheckConfig(provider_pb2.CheckRequest(urn="u", news=encode_map({})))
        assert "serves loopback endpoints only" in answer.failures[0].reason


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "http://s3.localhost:4566"]
)
def test_addresses_of_this_machine_pass(url: str) -> None:
    assert require_loopback(url, "it") == url


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com",
        "http://10.0.0.1:4566",
        "http://0.0.0.0:4566",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "http://localhost.example.com",
        "127.0.0.1:4566",
        "file:///etc/passwd",
        "",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidError, match="loopback endpoints only"):
        require_loopback(url, "it")


SETTINGS = [
    ({}, REGION, "AWS_ENDPOINT_URL is not set; the local AWS plugin serves loopback endpoints only"),
    ({}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "no AWS region"),
    ({"assumeRoles": "[]"}, HERE, "does not support provider input 'assumeRoles'; it supports accessKey"),
    ({"endpoints": '[{"s3": "https://s3.amazonaws.com"}]'}, HERE, "the endpoint of s3 is 'https://s3.amazonaws.com'"),
    ({"endpoints": "["}, HERE, "provider input 'endpoints' is no JSON"),
]


@pytest.mark.parametrize(("args", "environ", "reason"), SETTINGS)
def test_a_configuration_that_cannot_be_is_refused(args: dict[str, Any], environ: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidError) as caught:
        Settings.read(args, environ)
    assert reason in str(caught.value)


def test_endpoints_may_come_from_the_provider_alone() -> None:
    same = '[{"s3": "http://127.0.0.1:1", "sts": "http://127.0.0.1:1"}]'
    found = Settings.read({"endpoints": same, "region": "eu-west-1"}, {})
    assert (found.endpoint, found.region) == ("http://127.0.0.1:1", "eu-west-1")
    found = Settings.read({"endpoints": [{"eventbridge": "http://127.0.0.1:2"}]}, HERE)
    assert found.endpoints == {"eventbridge": "http://127.0.0.1:2"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_and_quietly_when_the_engine_says_so(number: signal.Signals, shell_of: Any) -> None:
    process = spawn(shell_of("http://127.0.0.1:9"))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    assert process.wait(60) == 0
    assert process.communicate() == (b"", b"")


def test_it_does_not_outlive_an_engine_that_was_killed(shell_of: Any) -> None:
    code = (
        "import subprocess, sys\n"
        f"command = [{sys.executable!r}, '-m', 'localcloud.awsplugin', '127.0.0.1:1']\n"
        "p = subprocess.Popen(command, stdout=subprocess.PIPE)\n"
        "p.stdout.readline()\n"
        "print(p.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    environ = shell_of("http://127.0.0.1:9")
    engine = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ)
    assert engine.stdout is not None
    plugin = int(engine.stdout.readline())
    engine.kill()
    engine.wait()
    deadline = time.monotonic() + 200
    while alive(plugin) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(plugin)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def spawn(environ: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "localcloud.awsplugin", "127.0.0.1:1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)
