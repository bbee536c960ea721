"""A request has one reading, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.server.requests import BadRequest, Request, Sent, gather, parse_json, read

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
CBOR = {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
CBOR_PATH = "/service/GraniteServiceVersion20100801/operation/DeleteAlarms"
FUNCTION = "/2015-03-31/functions/f"


def posted(service: str, body: bytes = b"", path: str = "/", query: Any = None, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read(service, Sent("POST", path, named, body, query or {}))


def target(name: str, kind: str = "application/x-amz-json-1.0") -> dict[str, str]:
    return {"x_amz_target": name, "content_type": kind}


def form(service: str, body: bytes, query: Any = None) -> Request:
    return posted(service, body, query=query, content_type=FORM["content-type"])


@pytest.mark.parametrize(
    ("path", "headers", "body", "query"),
    [
        ("/", {}, b"", {"Action": ["DeleteAlarms"], "AlarmNames.member.1": ["a"], "AlarmNames.member.2": ["b"]}),
        ("/", FORM, b"Action=DeleteAlarms&AlarmNames.member.2=b&AlarmNames.member.1=a", {}),
        (
            "/",
            {
                "x-amz-target": "GraniteServiceVersion20100801.DeleteAlarms",
                "content-type": "application/x-amz-json-1.0",
            },
            b'{"AlarmNames": ["a", "b"]}',
            {},
        ),
        (CBOR_PATH, CBOR, b"\xa1\x6aAlarmNames\x82\x61a\x61b", {}),
    ],
    ids=["query", "form", "json", "cbor"],
)
def test_cloudwatch_is_read_in_each_of_its_protocols(path, headers, body, query):
    request = read("monitoring", Sent("POST", path, headers, body, query))
    assert (request.action, request.members["AlarmNames"]) == ("DeleteAlarms", ["a", "b"])


def test_all_parameters_of_a_form_are_in_one_place_with_those_of_the_signature():
    request = form("iam", b"Action=GetUser&UserName=u&Version=2010-05-08", {"X-Amz-Date": ["d"]})
    assert (request.action, request.members["UserName"], request.body) == ("GetUser", "u", b"")
    assert request.query["UserName"] == ["u"]
    assert request.query["X-Amz-Date"] == ["d"]


@pytest.mark.parametrize(
    ("service", "body", "query", "code"),
    [
        ("iam", b"Action=CreateUser&UserName=u", {"Action": ["GetUser"]}, "InvalidParameterCombination"),
        ("iam", b"Action=GetUser&Action=CreateUser", {}, "InvalidQueryParameter"),
        ("iam", b"", {"Action": ["GetUser", "CreateUser"]}, "InvalidQueryParameter"),
        ("iam", b"Action=AttachGroupPolicy&GroupName=g&RoleName=r", {}, "InvalidQueryParameter"),
        ("iam", b"UserName=u", {}, "MissingAction"),
        ("iam", b"Action=Nothing", {}, "InvalidAction"),
        ("iam", b"Action=GetUser&UserName=%ff", {}, "MalformedQueryString"),
        ("sqs", b"Action=ListQueues", {}, "UnknownOperationException"),
        ("dynamodb", b"Action=ListTables", {}, "UnknownOperationException"),
    ],
)
def test_a_form_with_two_readings_is_refused(service, body, query, code):
    with pytest.raises(BadRequest) as refused:
        form(service, body, query)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("service", "given"),
    [
        ("iam", {**target("IAMService.GetUser"), "body": b"{}"}),
        ("iam", {"body": b"Action=GetUser", "content_type": "text/plain"}),
        ("iam", {"body": b"Action=GetUser", "path": "/x", "content_type": FORM["content-type"]}),
        ("dynamodb", {**target("DynamoDB_20111205.ListTables")}),
        ("dynamodb", {**target("DynamoDB_20120810.ListTables"), "query": {"Action": ["GetItem"]}}),
        ("dynamodb", {**target("DynamoDB_20120810.ListTables"), "path": "/x"}),
        ("dynamodb", {**target("DynamoDB_20120810.ListTables, DynamoDB_20120810.GetItem")}),
        ("dynamodb", {**target("DynamoDB_20120810.ListTables", "application/json")}),
        ("dynamodb", {**target("DynamoDB_20120810.ExecuteStatement"), "body": b'{"Statement": "SELECT * FROM t"}'}),
        ("dynamodb", {**target("DynamoDB_20120810.ListTables"), "content_encoding": "br"}),
        ("dynamodb", {**target("DynamoDB_20120810.ListTables"), "x_amz_decoded_content_length": "2"}),
        ("sqs", {**target("AmazonSQS.ReceiveMessage"), "path": "/1/q", "body": b'{"QueueUrl": "http://h/1/other"}'}),
        ("lambda", {"path": f"{FUNCTION}/configuration"}),
        ("lambda", {"path": f"{FUNCTION}//invocations"}),
        ("lambda", {"path": "/2015-03-31/layers/../functions"}),
        ("lambda", {"path": "/2015-03-31/functions%2f"}),
        ("lambda", {"path": f"{FUNCTION}/aliases", "body": b'{"FunctionName": "g", "Name": "a"}'}),
        ("lambda", {"path": f"{FUNCTION}/invocations", "x_amz_target": "Lambda.GetFunction"}),
        ("scheduler", {"path": "/schedules/s", "body": b'{"Name": "t"}'}),
        ("sagemaker", {"path": "/endpoints/e/invocations", **target("SageMaker.ListModels")}),
        ("sagemaker", {"path": "/endpoints/e/invocations", "query": {"Action": ["ListModels"]}}),
        ("monitoring", {"path": CBOR_PATH, "x_amz_target": "GraniteServiceVersion20100801.ListMetrics"}),
        ("monitoring", {"path": CBOR_PATH, "content_type": "application/json"}),
        ("monitoring", {"path": f"{CBOR_PATH}/", "content_type": "application/cbor"}),
    ],
)
def test_a_request_that_is_not_in_its_protocol_is_refused(service, given):
    with pytest.raises(BadRequest):
        posted(service, **given)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1]",
        b"\xff",
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": NaN}',
        b"\xef\xbb\xbf{}",
        json.dumps({"a": 1}).encode("utf-16"),
        json.dumps({"a": 1}).encode("utf-32-le"),
        b"[" * 100_000,
    ],
)
def test_json_that_two_parsers_could_read_differently_is_refused(body):
    with pytest.raises(BadRequest, match=r"cannot be read|must be|too deeply"):
        parse_json(body)


def test_blanks_around_json_are_taken_off_for_all_who_read_it_later():
    request = posted("dynamodb", b' \r\n{"TableName": "t"}\t', **target("DynamoDB_20120810.DescribeTable"))
    assert (request.body, request.members) == (b'{"TableName": "t"}', {"TableName": "t"})


def test_the_path_of_a_rest_request_names_its_operation_and_its_members():
    function = read("lambda", Sent("PUT", f"{FUNCTION}/configuration", {}, b'{"Timeout": 3}', {}))
    assert function.action == "UpdateFunctionConfiguration"
    assert function.members == {"Timeout": 3, "FunctionName": "f"}
    schedule = read("scheduler", Sent("DELETE", "/schedules/s", {}, b"", {"groupName": ["g"]}))
    assert (schedule.action, schedule.members) == ("DeleteSchedule", {"Name": "s", "GroupName": "g"})
    arn = "arn:aws:scheduler:us-east-1:000000000000:schedule-group/g"
    assert read("scheduler", Sent("GET", f"/tags/{arn}", {}, b"", {})).members == {"ResourceArn": arn}


def test_a_list_of_a_form_is_in_the_order_of_its_numbers():
    assert gather({"A.member.10": "c", "A.member.2": "b", "B": "x"}) == {"A": ["b", "c"], "B": "x"}
