"""Functions that the plugin answers."""

from __future__ import annotations

import datetime
import json
from typing import Any

import grpc
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localcloud.awsplugin.identity import Keys, signed_headers

DOCUMENT = "aws:iam/getPolicyDocument:getPolicyDocument"


def statement_of(plugin: Any, **given: Any) -> dict[str, Any]:
    return json.loads(plugin.call(DOCUMENT, statements=[given])["json"])["Statement"][0]


def test_a_policy_document_is_written_as_the_provider_writes_it(offline: Any) -> None:
    given = {
        "sid": "TlsOnly",
        "effect": "Deny",
        "actions": ["s3:*"],
        "resources": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
        "principals": [{"type": "*", "identifiers": ["*"]}],
        "conditions": [{"test": "Bool", "variable": "aws:SecureTransport", "values": ["false"]}],
    }
    answer = offline.call(DOCUMENT, statements=[given])
    assert json.loads(answer["json"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::b/*", "arn:aws:s3:::b"],
                "Principal": "*",
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
    assert json.loads(answer["minifiedJson"]) == json.loads(answer["json"])
    assert answer == offline.call(DOCUMENT, statements=[given]), "the same every time"


def test_principals_are_grouped_by_their_type(offline: Any) -> None:
    service = {"type": "Service", "identifiers": ["lambda.amazonaws.com"]}
    account = {"type": "AWS", "identifiers": ["111111111111", "222222222222"]}
    found = statement_of(offline, actions=["sts:AssumeRole"], principals=[service, account])
    assert found == {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "lambda.amazonaws.com", "AWS": ["222222222222", "111111111111"]},
    }


def test_two_conditions_of_one_test_are_both_kept(offline: Any) -> None:
    conditions = [
        {"test": "StringEquals", "variable": "aws:SourceAccount", "values": ["1"]},
        {"test": "StringEquals", "variable": "aws:PrincipalTag/role", "values": ["&{aws:username}"]},
    ]
    found = statement_of(offline, actions=["a"], conditions=conditions)
    assert found["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "1", "aws:PrincipalTag/role": "${aws:username}"}
    }


def test_documents_are_merged_by_statement_id(offline: Any) -> None:
    def document(sid: str, action: str) -> str:
        return json.dumps({"Statement": [{"Sid": sid, "Effect": "Allow", "Action": action}]})

    answer = offline.call(
        DOCUMENT,
        sourcePolicyDocuments=[document("a", "s3:Get*")],
        statements=[{"sid": "b", "actions": ["s3:Put*"]}],
        overridePolicyDocuments=[document("b", "s3:Delete*")],
    )
    assert [(s["Sid"], s["Action"]) for s in json.loads(answer["json"])["Statement"]] == [
        ("a", "s3:Get*"),
        ("b", "s3:Delete*"),
    ]
    with pytest.raises(grpc.RpcError, match="have a statement with sid 'a'"):
        offline.call(DOCUMENT, sourcePolicyDocuments=[document("a", "x"), document("a", "y")])


def test_region_and_partition_need_no_network(offline: Any) -> None:
    region = offline.call("aws:index/getRegion:getRegion")
    assert (region["region"], region["name"], region["id"]) == ("us-east-1",) * 3
    partition = offline.call("aws:index/getPartition:getPartition")
    assert (partition["partition"], partition["dnsSuffix"]) == ("aws", "amazonaws.com")
    assert partition["reverseDnsPrefix"] == "com.amazonaws"


def test_a_function_that_is_not_served_is_named_with_those_that_are(offline: Any) -> None:
    with pytest.raises(grpc.RpcError, match=r"does not serve the function aws:ec2/getVpc:getVpc\. It serves: aws:iam/"):
        offline.call("aws:ec2/getVpc:getVpc")


def test_an_argument_that_a_function_does_not_have_is_refused(offline: Any) -> None:
    with pytest.raises(Exception, match=r"has no argument 'statement'; known: .*statements"):
        offline.call(DOCUMENT, statement=[])


def test_the_signature_is_the_one_that_botocore_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    ours = signed_headers("127.0.0.1:4566", "eu-west-1", Keys("AKID", "secret", "token"), now)
    request = AWSRequest(
        "POST",
        "http://127.0.0.1:4566/",
        data=b"Action=GetCallerIdentity&Version=2011-06-15",
        headers={"content-type": ours["content-type"]},
    )
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: now.replace(tzinfo=None))
    SigV4Auth(Credentials("AKID", "secret", "token"), "sts", "eu-west-1").add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]


@pytest.mark.e2e
def test_the_caller_is_the_clouds_root(plugin: Any, hosting: Any) -> None:
    told = hosting.client("sts").get_caller_identity()
    answer = plugin.call("aws:index/getCallerIdentity:getCallerIdentity")
    assert answer == {
        "accountId": told["Account"],
        "arn": told["Arn"],
        "userId": told["UserId"],
        "id": told["Account"],
    }


@pytest.mark.e2e
def test_an_account_that_the_provider_does_not_allow_is_refused(
    hosting: Any, start_plugin: Any, connect: Any, shell_of: Any
) -> None:
    with start_plugin(shell_of(hosting.url)) as port:
        strict = connect(port, allowedAccountIds='["111111111111"]')
        with pytest.raises(grpc.RpcError, match="000000000000 is not allowed"):
            strict.call("aws:index/getCallerIdentity:getCallerIdentity")


@pytest.mark.e2e
def test_keys_that_the_cloud_does_not_know_are_refused_with_its_reason(
    hosting: Any, start_plugin: Any, connect: Any, shell_of: Any
) -> None:
    environ = {**shell_of(hosting.url), "AWS_ACCESS_KEY_ID": "AKIAUNKNOWNUNKNOWN00"}
    with start_plugin(environ) as port:
        stranger = connect(port)
        with pytest.raises(grpc.RpcError, match="GetCallerIdentity: InvalidClientTokenId"):
            stranger.call("aws:index/getCallerIdentity:getCallerIdentity")
