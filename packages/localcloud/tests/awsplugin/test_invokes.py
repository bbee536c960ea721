"""Functions that the plugin answers."""

from __future__ import annotations

import datetime
from typing import Any

import grpc
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localcloud.awsplugin.identity import Keys, signed_headers


def test_the_region_needs_no_network(offline: Any) -> None:
    region = offline.call("aws:index/getRegion:getRegion")
    assert (region["region"], region["name"], region["id"]) == ("us-east-1",) * 3


def test_a_function_that_is_not_served_is_named_with_those_that_are(offline: Any) -> None:
    with pytest.raises(grpc.RpcError, match=r"does not serve the function aws:ec2/getVpc:getVpc\. It serves: aws:"):
        offline.call("aws:ec2/getVpc:getVpc")


def test_an_argument_that_a_function_does_not_have_is_refused(offline: Any) -> None:
    with pytest.raises(Exception, match=r"has no argument 'regions'; known: .*region"):
        offline.call("aws:index/getRegion:getRegion", regions=[])


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
    with start_plugin(shell_of(hosting)) as port:
        strict = connect(port, allowedAccountIds='["111111111111"]')
        with pytest.raises(grpc.RpcError, match="000000000000 is not allowed"):
            strict.call("aws:index/getCallerIdentity:getCallerIdentity")


@pytest.mark.e2e
def test_keys_that_the_cloud_does_not_know_are_refused_with_its_reason(
    hosting: Any, start_plugin: Any, connect: Any, shell_of: Any
) -> None:
    environ = {**shell_of(hosting), "AWS_ACCESS_KEY_ID": "AKIAUNKNOWNUNKNOWN00"}
    with start_plugin(environ) as port:
        stranger = connect(port)
        with pytest.raises(grpc.RpcError, match="GetCallerIdentity: InvalidClientTokenId"):
            stranger.call("aws:index/getCallerIdentity:getCallerIdentity")
