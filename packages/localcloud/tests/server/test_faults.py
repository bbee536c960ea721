"""Faults: what may be asked for, how long they last, and operations that go wrong for real clients."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from localcloud import process
from localcloud.server.faults import FaultError, Faults


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"endpoint": "e", "effect": "error"}, "variant is None"),
        ({"endpoint": "e", "variant": "v", "effect": "explode"}, "effect is 'explode', expected one of error, delay"),
        ({"service": "sagemaker", "operation": "*", "effect": "hang"}, "expected one of throttle, error, drop_before"),
        ({"endpoint": "e", "variant": "v", "effect": "delay"}, "needs milliseconds"),
        ({"endpoint": "e", "variant": "v", "effect": "error", "share": 1.5}, "share is 1.5, expected a number from 0"),
        ({"endpoint": "e", "variant": "v", "effect": "error", "calls": 0}, "calls is 0, expected a number from 1"),
        ({"endpoint": "e", "variant": "v", "effect": "error", "status": 200}, "status is 200"),
        ({"endpoint": "e", "variant": "v", "effect": "error", "colour": 1}, "unknown member 'colour'"),
        ({"service": "sagemaker", "operation": "*", "effect": "error", "status": 500}, "unknown member 'status'"),
        ({"endpoint": "e", "variant": "v", "effect": "error", "containing": "x"}, "unknown member 'containing'"),
        ({"service": "sagemaker", "operation": "*", "effect": "error", "containing": ""}, "containing is '', expected"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_the_member(document, words):
    faults = Faults()
    with pytest.raises(FaultError, match=words):
        faults.add(document)
    assert faults.all() == []


def test_a_fault_ends_after_its_calls_and_when_it_is_cleared():
    faults = Faults()
    first = faults.add({"endpoint": "orders-*", "variant": "*", "effect": "error", "calls": 2})
    second = faults.add({"service": "sagemaker", "operation": "Update*", "effect": "throttle"})
    assert [len(faults.of_variant("1", "orders-dev", "v")) for _ in range(3)] == [1, 1, 0]
    assert faults.of_variant("1", "other", "v") == []
    assert faults.all() == [second]
    assert first.hits == 2
    assert faults.of_call("1", "sagemaker", "DescribeEndpoint") is None
    assert faults.of_call("1", "sagemaker", "UpdateEndpoint") is second
    assert faults.clear("fault-9") == 0
    assert faults.clear(second.id) == 1
    assert not faults.of_apis


def test_a_fault_of_an_operation_can_be_limited_to_requests_about_one_thing():
    faults = Faults()
    fault = faults.add({"service": "dynamodb", "operation": "*", "effect": "error", "containing": "orders"})
    assert faults.of_call("1", "dynamodb", "PutItem", b'{"Key": "other"}') is None
    assert faults.of_call("1", "dynamodb", "PutItem", b'{"Key": "orders"}') is fault
    assert (fault.hits, fault.as_dict()["containing"]) == (1, "orders")


def test_a_fault_ends_when_its_time_is_over(monkeypatch):
    faults = Faults()
    faults.add({"service": "sns", "operation": "Publish", "effect": "error", "seconds": 5})
    assert faults.of_apis
    now = time.monotonic()
    monkeypatch.setattr("localcloud.server.faults.time.monotonic", lambda: now + 5)
    assert faults.of_call("1", "sns", "Publish") is None
    assert faults.all() == []


def test_two_faults_hit_one_request_together():
    faults = Faults()
    faults.add({"endpoint": "e", "variant": "v", "effect": "delay", "milliseconds": 5})
    faults.add({"endpoint": "e", "variant": "v", "effect": "error"})
    assert [fault.effect for fault in faults.of_variant("1", "e", "v")] == ["delay", "error"]


def once(cloud: Any, service: str) -> Any:
    """A client that does not try again."""
    return cloud.session().client(service, endpoint_url=cloud.url, config=Config(retries={"max_attempts": 0}))


@pytest.fixture
def ask(cloud):
    """Asks the cloud for faults and clears them all at the end."""
    yield lambda method="GET", document=None, query="": cloud.faults(method, document, query)
    cloud.faults("DELETE")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("service", "operation", "call"),
    [
        ("sagemaker", "ListEndpoints", lambda client: client.list_endpoints()),
        ("cloudwatch", "DescribeAlarms", lambda client: client.describe_alarms()),
        ("dynamodb", "ListTables", lambda client: client.list_tables()),
        ("sns", "ListTopics", lambda client: client.list_topics()),
        ("lambda", "ListFunctions", lambda client: client.list_functions()),
        ("events", "ListRules", lambda client: client.list_rules()),
    ],
)
def test_calls_are_throttled_and_fail_in_the_services_own_protocol(cloud, ask, service, operation, call):
    client = once(cloud, service)
    call(client)
    ask("POST", {"service": service, "operation": operation, "effect": "throttle", "calls": 1})
    ask("POST", {"service": service, "operation": operation, "effect": "error", "calls": 1})
    with pytest.raises(ClientError) as caught:
        call(client)
    assert caught.value.response["Error"]["Code"].startswith("Throttling")
    with pytest.raises(ClientError) as caught:
        call(client)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "InternalFailure" in caught.value.response["Error"]["Code"]
    call(client)
    assert ask()["faults"] == []


@pytest.mark.e2e
def test_a_call_that_is_dropped_before_was_not_performed_and_one_after_was(cloud, ask):
    client = once(cloud, "sagemaker")
    groups = ["dropped-before", "dropped-after"]
    for name in groups:
        effect = name.replace("dropped-", "drop_")
        target = {"service": "sagemaker", "operation": "CreateModelPackageGroup", "effect": effect}
        ask("POST", {**target, "calls": 1, "milliseconds": 50})
        with pytest.raises(ConnectionClosedError):
            client.create_model_package_group(ModelPackageGroupName=name)
    listed = client.list_model_package_groups(NameContains="dropped")["ModelPackageGroupSummaryList"]
    assert [group["ModelPackageGroupName"] for group in listed] == ["dropped-after"]


@pytest.mark.e2e
def test_a_throttled_call_is_tried_again_by_an_ordinary_client(cloud, ask):
    ask("POST", {"service": "sagemaker", "operation": "List*", "effect": "throttle", "calls": 1})
    assert cloud.client("sagemaker").list_endpoints()["ResponseMetadata"]["RetryAttempts"] == 1


@pytest.mark.e2e
def test_faults_are_refused_to_web_pages_and_bad_ones_are_explained(cloud, ask):
    request = urllib.request.Request(f"{cloud.url}/_localcloud/faults", headers={"Origin": "http://evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)
    with pytest.raises(process.ProcessError, match="effect is 'explode'"):
        ask("POST", {"service": "sagemaker", "operation": "*", "effect": "explode"})
    with pytest.raises(process.ProcessError, match="no fault fault-999999"):
        ask("DELETE", query="?id=fault-999999")


@pytest.mark.e2e
def test_the_command_adds_lists_and_clears(cloud, ask):
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        where = [*words[:1], "--state", str(cloud.state), *words[1:]]
        run = [sys.executable, "-m", "localcloud", "faults", *where]
        return subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)

    added = json.loads(command("variant", "e", "v", "error", "--status", "502", "--share", "0.5").stdout)
    command("api", "cloudwatch", "GetMetricData", "throttle", "--calls", "3", "--containing", "orders")
    listed = json.loads(command("list").stdout)
    assert [(fault["effect"], fault.get("status"), fault.get("calls")) for fault in listed] == [
        ("error", 502, None),
        ("throttle", None, 3),
    ]
    assert listed[1]["containing"] == "orders"
    assert listed == ask()["faults"]
    assert "1 faults cleared" in command("clear", added["id"]).stderr
    assert "1 faults cleared" in command("clear").stderr
    failed = command("variant", "e", "v", "error", "--share", "2")
    assert failed.returncode == 1
    assert "error: share is 2.0, expected a number from 0 to 1" in failed.stderr
