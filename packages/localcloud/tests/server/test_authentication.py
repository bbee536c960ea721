"""Who may call: whoever has root's keys, or keys that IAM, STS or a service of the cloud gave out. Nobody else."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

pytestmark = pytest.mark.e2e

# One service of each protocol and form of error. AWS's codes for a key that nobody has, a wrong signature and none.
CALLS = {
    "sts": "get_caller_identity",
    "iam": "list_users",
    "sns": "list_topics",
    "sqs": "list_queues",
    "cloudwatch": "describe_alarms",
    "dynamodb": "list_tables",
    "logs": "describe_log_groups",
    "sagemaker": "list_models",
    "lambda": "list_functions",
    "scheduler": "list_schedules",
    "s3": "list_buckets",
}
ALARMS = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms"
CBOR = {"Content_Type": "application/cbor", "smithy_protocol": "rpc-v2-cbor"}
DEEP = b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}"
QUERY = {"unknown": ("InvalidClientTokenId", 403), "wrong": ("SignatureDoesNotMatch", 403)}
QUERY |= {"none": ("MissingAuthenticationToken", 403)}
JSON = {"unknown": ("UnrecognizedClientException", 400), "wrong": ("InvalidSignatureException", 400)}
JSON |= {"none": ("MissingAuthenticationTokenException", 400)}
REST = {why: (code, 403) for why, (code, _) in JSON.items()}
EXPECTED: dict[str, dict[str, tuple[str, int]]] = {
    "sts": QUERY,
    "iam": QUERY,
    "sns": QUERY,
    "sqs": {**QUERY, "none": ("AccessDenied", 403)},
    "cloudwatch": QUERY,
    "dynamodb": JSON,
    "logs": JSON,
    "sagemaker": JSON,
    "lambda": REST,
    "scheduler": REST,
    "s3": {
        "unknown": ("InvalidAccessKeyId", 403),
        "wrong": ("SignatureDoesNotMatch", 403),
        "none": ("AccessDenied", 403),
    },
}


def client(cloud: Any, service: str, *keys: str) -> Any:
    """A client with keys, or one that signs nothing."""
    config = Config(retries={"max_attempts": 0}, **({} if keys else {"signature_version": UNSIGNED}))
    return boto3.Session(*keys, region_name="us-east-1").client(service, endpoint_url=cloud.url, config=config)


def refusal(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def status_of(url: str, method: str = "GET", data: bytes | None = None, **headers: str) -> int:
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("service", CALLS)
def test_keys_that_nobody_was_given_are_refused_as_aws_does(cloud, service):
    for keys in (("test", "test"), ("000000000000", "test"), ("AKIAUNKNOWNUNKNOWN00", "secret")):
        assert refusal(getattr(client(cloud, service, *keys), CALLS[service])) == EXPECTED[service]["unknown"]


@pytest.mark.parametrize("service", CALLS)
def test_a_wrong_secret_is_refused_as_aws_does(cloud, service):
    wrong = client(cloud, service, cloud.keys.access_key_id, "wrong")
    assert refusal(getattr(wrong, CALLS[service])) == EXPECTED[service]["wrong"]


# Only its signature tells whose a request to the scheduler is: AWS has a host for it.
@pytest.mark.parametrize("service", [service for service in CALLS if service != "scheduler"])
def test_a_request_without_a_signature_is_refused_as_aws_does(cloud, service):
    assert refusal(getattr(client(cloud, service), CALLS[service])) == EXPECTED[service]["none"]


def refused(cloud: Any, service: str, path: str, data: bytes, secret: str, **headers: str) -> urllib.error.HTTPError:
    """What comes of a request with a body that no client would send."""
    request = AWSRequest("POST", cloud.url + path, data=data)
    for name, value in headers.items():
        request.headers[name.replace("_", "-")] = value
    SigV4Auth(Credentials(cloud.keys.access_key_id, secret), service, "us-east-1").add_auth(request)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(request.url, data, dict(request.headers)), timeout=30)
    return caught.value


def test_a_head_that_does_not_end_is_refused_before_it_fills_the_memory(cloud):
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ")
        with suppress(ConnectionError):  # it closes before all is sent
            for _ in range(1000):
                connection.sendall(b"x" * 10_000)
        with suppress(ConnectionError):
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_a_refusal_of_a_request_in_cbor_is_in_cbor(cloud):
    answer = refused(cloud, "monitoring", ALARMS, b"\xa0", "wrong", **CBOR)
    assert (answer.code, answer.headers["Content-Type"]) == (403, "application/cbor")
    assert answer.headers["x-amzn-query-error"] == "SignatureDoesNotMatch;Sender"
    assert b"__type" in answer.read()


@pytest.mark.parametrize(
    ("service", "path", "data", "headers"),
    [
        ("sagemaker", "/", DEEP, {"X_Amz_Target": "SageMaker.ListModels"}),
        ("dynamodb", "/", DEEP, {"X_Amz_Target": "DynamoDB_20120810.PutItem"}),
        ("lambda", "/2015-03-31/functions/f/invocations", DEEP, {}),
        ("monitoring", ALARMS, b"\xa1\x61a" + b"\x81" * 5000, CBOR),
    ],
    ids=["sagemaker", "dynamodb", "lambda", "cloudwatch"],
)
def test_a_request_that_is_nested_too_deeply_is_refused_in_words(cloud, service, path, data, headers):
    kind = {"Content_Type": "application/x-amz-json-1.1"}
    answer = refused(cloud, service, path, data, cloud.keys.secret_access_key, **{**kind, **headers})
    assert answer.code == 400
    assert b"nested too deeply" in answer.read()


def test_what_a_model_is_asked_may_be_nested_as_deeply_as_it_likes(cloud):
    with pytest.raises(ClientError, match="Endpoint nobody of account 000000000000 not found"):
        cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName="nobody", Body=DEEP)


def test_who_signs_nothing_can_make_no_bucket(cloud):
    assert refusal(client(cloud, "s3").create_bucket, Bucket="made-by-nobody") == ("AccessDenied", 403)
    assert "made-by-nobody" not in [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]]


def test_keys_that_iam_made_and_a_presigned_url_work(cloud):
    iam, s3 = cloud.client("iam"), cloud.client("s3")
    iam.create_user(UserName="auth-person")
    made = iam.create_access_key(UserName="auth-person")["AccessKey"]
    person = cloud.client("sts", made["AccessKeyId"], made["SecretAccessKey"])
    assert person.get_caller_identity()["Arn"].endswith("user/auth-person")
    s3.create_bucket(Bucket="auth-presigned")
    s3.put_object(Bucket="auth-presigned", Key="k", Body=b"x")
    asked = {"ClientMethod": "get_object", "Params": {"Bucket": "auth-presigned", "Key": "k"}}
    assert status_of(s3.generate_presigned_url(**asked)) == 200
    assert status_of(client(cloud, "s3", "test", "test").generate_presigned_url(**asked)) == 403


def test_the_keys_of_a_function_cannot_be_computed_from_its_name(cloud, functions_of):
    arn = functions_of(cloud).create("auth-keys")
    functions_of(cloud).call("auth-keys", "sts", "get_caller_identity")
    role = "arn:aws:iam::000000000000:role/auth-keys"
    digest = hashlib.sha256(f"{arn}:{role}".encode()).hexdigest()  # as ministack makes them
    secret, token = (hashlib.sha256(f"{what}:{digest}".encode()).hexdigest() for what in ("secret", "token"))
    guessed = cloud.client("sts", f"ASIA{digest[:16].upper()}", secret, token)
    assert refusal(guessed.get_caller_identity)[1] == 403


def test_an_image_is_pushed_and_pulled_only_with_a_token_of_ecr(cloud):
    uploads = f"{cloud.url}/v2/auth-images/blobs/uploads/"
    ecr = cloud.client("ecr")
    ecr.create_repository(repositoryName="auth-images")
    known = base64.b64encode(b"AWS:ministack-auth-token").decode()
    for headers in ({}, {"Authorization": f"Basic {known}"}, {"Authorization": "Basic !"}):
        assert status_of(f"{cloud.url}/v2/", **headers) == 401
        assert status_of(uploads, "POST", b"", **headers) == 401
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    assert status_of(f"{cloud.url}/v2/", Authorization=f"Basic {token}") == 200
    assert status_of(uploads, "POST", b"", Authorization=f"Basic {token}") == 202


def test_faults_are_asked_for_only_by_who_may_read_the_keys(cloud):
    fault = json.dumps({"service": "sts", "operation": "GetCallerIdentity", "effect": "error"}).encode()
    for headers in ({}, {"Authorization": "Bearer test"}):
        assert status_of(f"{cloud.url}/_localcloud/faults", "POST", fault, **headers) == 403
        assert status_of(f"{cloud.url}/_localcloud/faults", **headers) == 403
    assert cloud.client("sts").get_caller_identity()


@pytest.mark.parametrize("path", ["/_aws/sqs/messages?QueueUrl=x", "/_aws/ses", "/_ministack/lambda-code/auth-keys"])
def test_no_door_of_ministack_is_open_beside(cloud, path):
    assert status_of(cloud.url + path) == 403


def test_nobody_else_can_read_the_state(cloud):
    assert (cloud.state / "credentials").stat().st_mode & 0o777 == 0o600
    tops = [path for path in cloud.state.iterdir() if not path.is_socket()]
    # Below `run` lies what containers read whose user is another: nobody gets there but by the folders above.
    below = [path for top in tops if top.is_dir() and top.name != "run" for path in top.rglob("*")]
    with suppress(FileNotFoundError):  # it is in use
        assert [str(path) for path in [cloud.state, *tops, *below] if path.stat().st_mode & 0o077] == []


def test_each_state_folder_has_keys_of_its_own(cloud, new_cloud):
    other = new_cloud()
    assert other.keys != cloud.keys
    assert other.keys == other.keys
