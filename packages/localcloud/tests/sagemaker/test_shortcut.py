"""Invocations take a short way through a running cloud. Who is refused on the general way is refused here too."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from .stage import Stage

pytestmark = pytest.mark.e2e

BODY = b'{"instances": [1]}'
PREDICTION = {"predictions": [1]}
ONCE = Config(retries={"max_attempts": 0})


@dataclass
class Caller:
    """A user who may invoke one endpoint."""

    cloud: Any
    name: str
    key: str
    secret: str
    endpoint: str

    def allow(self, effect: str = "Allow", policy: str = "invoke", **more: Any) -> None:
        statement = {"Effect": effect, "Action": "sagemaker:InvokeEndpoint", "Resource": self.arn, **more}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.put_user_policy(UserName=self.name, PolicyName=policy, PolicyDocument=document)

    def disallow(self, policy: str = "invoke") -> None:
        self.iam.delete_user_policy(UserName=self.name, PolicyName=policy)

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{self.endpoint}"

    @property
    def iam(self) -> Any:
        return self.cloud.client("iam")

    def client(self) -> Any:
        session = boto3.Session(self.key, self.secret, region_name="us-east-1")
        return session.client("sagemaker-runtime", endpoint_url=self.cloud.url, config=ONCE)

    def invoke(self, body: bytes = BODY, **more: Any) -> dict[str, Any]:
        return self.client().invoke_endpoint(EndpointName=self.endpoint, Body=body, **more)

    def refusal(self) -> str:
        with pytest.raises(ClientError) as refused:
            self.invoke()
        return refused.value.response["Error"]["Code"]

    def signed(self, path: str, body: bytes, **headers: str) -> dict[str, str]:
        """The headers of a request with such a path and body."""
        request = AWSRequest("POST", self.cloud.url + path, data=body, headers={"Content-Type": "application/json"})
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        SigV4Auth(Credentials(self.key, self.secret), "sagemaker", "us-east-1").add_auth(request)
        return dict(request.headers.items())

    def put(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        """Status, headers and content of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.cloud.port, timeout=60)
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    def send(self, body: bytes = BODY, query: str = "", **headers: str) -> tuple[int, dict[str, str], Any]:
        """Sign a request and put it."""
        path = f"/endpoints/{self.endpoint}/invocations"
        return self.put(path + query, body, self.signed(path + query, body, **headers))


@pytest.fixture(scope="module")
def endpoint(_staged: Any) -> tuple[Stage, str]:
    """One endpoint with a shadow variant, for the whole file."""
    stage = Stage(_staged, "stage-models")
    shadow = {"VariantName": "shadow", "ModelName": stage.model("shadow"), "InstanceType": "ml.m5.large"}
    shadows = [{**shadow, "InitialInstanceCount": 1, "InitialVariantWeight": 1}]
    return stage, stage.endpoint("e", {"main": 1}, ShadowProductionVariants=shadows)


@pytest.fixture
def caller(endpoint: tuple[Stage, str]) -> Iterator[Caller]:
    stage, name = endpoint
    iam, user = stage.cloud.client("iam"), Stage(stage.cloud, stage.bucket).name("caller")
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    made = Caller(stage.cloud, user, key["AccessKeyId"], key["SecretAccessKey"], name)
    made.allow()
    yield made
    stage.cloud.faults("DELETE")


def short(headers: dict[str, str]) -> bool:
    """Whether an answer came the short way: ministack adds headers of S3's on its own."""
    return "x-amz-id-2" not in headers


def test_an_invocation_of_an_sdk_takes_the_short_way_and_is_answered_as_on_the_general_way(caller):
    answered = caller.invoke(ContentType="application/json", InferenceId="order-1", CustomAttributes="trace=1")
    headers = answered["ResponseMetadata"]["HTTPHeaders"]
    assert short(headers)
    assert answered["ResponseMetadata"]["RequestId"] == headers["x-amzn-requestid"]
    assert (json.loads(answered["Body"].read()), answered["CustomAttributes"]) == (PREDICTION, "seen")
    status, plain, content = caller.send()
    assert (status, short(plain), content) == (200, True, PREDICTION)
    status, general, content = caller.send(gzip.compress(BODY), Content_Encoding="gzip")
    assert (status, short(general), content) == (200, False, PREDICTION)
    own = ("content-type", "content-length", "x-amzn-invoked-production-variant")
    assert [plain[name] for name in own] == [general[name] for name in own]
    assert {"date", "x-amzn-requestid"} <= plain.keys()


def test_a_body_in_another_form_is_understood(caller):
    packed = gzip.compress(BODY)
    status, headers, content = caller.send(packed, Content_Encoding="gzip")
    assert (status, short(headers), content) == (200, False, PREDICTION)
    with pytest.raises(ClientError, match="does not support TargetModel"):
        caller.invoke(TargetModel="m.tar.gz")


def test_a_policy_that_is_taken_away_refuses_the_very_next_call(caller):
    for _ in range(3):
        caller.invoke()
        caller.disallow()
        assert caller.refusal() == "AccessDeniedException"
        caller.allow()
    caller.allow("Deny", "deny")
    assert caller.refusal() == "AccessDeniedException"
    caller.disallow("deny")
    caller.allow(Resource=caller.arn.replace(caller.endpoint, "another"))
    assert caller.refusal() == "AccessDeniedException"


def test_a_condition_is_asked_for_each_call(caller):
    caller.allow(Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}, "Bool": {"aws:SecureTransport": "true"}})
    assert short(caller.invoke()["ResponseMetadata"]["HTTPHeaders"])
    caller.allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    assert caller.refusal() == "AccessDeniedException"
    soon = time.time() + 1
    caller.allow(Condition={"NumericLessThan": {"aws:EpochTime": str(int(soon))}})
    while time.time() < soon:
        time.sleep(0.1)
    assert caller.refusal() == "AccessDeniedException"


def test_a_key_that_is_made_inactive_or_deleted_is_refused_at_the_very_next_call(caller):
    caller.invoke()
    for status, expected in (("Inactive", "UnrecognizedClientException"), ("Active", None)):
        caller.iam.update_access_key(UserName=caller.name, AccessKeyId=caller.key, Status=status)
        assert (caller.refusal() if expected else caller.invoke() and None) == expected
    caller.iam.delete_access_key(UserName=caller.name, AccessKeyId=caller.key)
    assert caller.refusal() == "UnrecognizedClientException"


def test_a_signature_is_of_one_body_one_path_and_one_moment(caller):
    path = f"/endpoints/{caller.endpoint}/invocations"
    signed = caller.signed(path, BODY)
    assert caller.put(path, BODY, signed)[0] == 200
    status, headers, content = caller.put(path, BODY.replace(b"1", b"2"), signed)
    assert (status, headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
    assert "signature we calculated does not match" in content["message"]
    assert caller.put(path.replace("/inv", "x/inv"), BODY, signed)[0] == 403
    assert caller.put(path, BODY, {**signed, "X-Amz-Date": "20200101T000000Z"})[0] == 403


def test_temporary_keys_need_their_token_and_what_they_use_is_noted(caller):
    stage = Stage(caller.cloud, "stage-models")
    statement = {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": caller.arn}
    role = stage.role(statement)
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    caller.iam.update_assume_role_policy(RoleName=role.rpartition("/")[2], PolicyDocument=document)
    keys = caller.cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    for token, allowed in ((keys["SessionToken"], True), (None, False), ("wrong", False)):
        session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], token, region_name="us-east-1")
        runtime = session.client("sagemaker-runtime", endpoint_url=caller.cloud.url, config=ONCE)
        if allowed:
            answered = runtime.invoke_endpoint(EndpointName=caller.endpoint, Body=BODY)
            assert short(answered["ResponseMetadata"]["HTTPHeaders"])
        else:
            with pytest.raises(ClientError, match="security token"):
                runtime.invoke_endpoint(EndpointName=caller.endpoint, Body=BODY)
    used = [json.loads(line) for line in (caller.cloud.state / "used-rights.jsonl").read_text().splitlines()]
    right = {"role": role.rpartition("/")[2], "action": "sagemaker:InvokeEndpoint", "resource": caller.arn}
    assert right in used


def test_a_web_page_and_another_host_stay_outside(caller):
    assert caller.send(Origin="http://evil.example")[0] == 403
    assert caller.send(Host="evil.example")[0] == 403


def test_faults_that_are_set_while_requests_come_hit_them(caller):
    answers: list[str] = []
    stopped = threading.Event()

    def ask() -> None:
        client = caller.client()
        while not stopped.is_set():
            try:
                client.invoke_endpoint(EndpointName=caller.endpoint, Body=BODY)
                answers.append("answered")
            except ClientError as error:
                answers.append(error.response["Error"]["Code"])
            except (HTTPClientError, HTTPError):  # an answer without an end, as the client sees it
                answers.append("dropped")

    def seen(what: str) -> None:
        del answers[:]
        deadline = time.monotonic() + 200
        while what not in answers:
            assert time.monotonic() < deadline, f"never {what}, but {set(answers)}"
            time.sleep(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        seen("answered")
        api = {"service": "sagemaker-runtime", "operation": "InvokeEndpoint"}
        for effect, code in (
            ("throttle", "ThrottlingException"),
            ("drop_before", "dropped"),
            ("drop_after", "dropped"),
        ):
            caller.cloud.faults("POST", {**api, "effect": effect})
            seen(code)
            caller.cloud.faults("DELETE")
            seen("answered")
        caller.cloud.faults("POST", {"endpoint": caller.endpoint, "variant": "main", "effect": "error", "status": 500})
        seen("ModelError")
        caller.cloud.faults("DELETE")
        seen("answered")
    finally:
        stopped.set()
        asking.join()


def test_what_comes_the_short_way_is_copied_to_the_shadow_variant_and_counted(caller):
    def invocations(variant: str) -> float:
        now = time.time()
        dimensions = [{"Name": "EndpointName", "Value": caller.endpoint}, {"Name": "VariantName", "Value": variant}]
        found = caller.cloud.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Invocations",
            Dimensions=dimensions,
            StartTime=now - 3600,
            EndTime=now + 60,
            Period=3600,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in found["Datapoints"])

    before = [invocations(variant) for variant in ("main", "shadow")]
    for _ in range(5):
        caller.invoke()
    deadline = time.monotonic() + 200
    while [invocations("main") - before[0], invocations("shadow") - before[1]] != [5, 5]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_endpoint_that_is_deleted_is_not_found_by_the_very_next_call(caller, endpoint):
    stage, _ = endpoint
    gone = stage.endpoint("gone", {"main": 1})
    caller.endpoint = gone
    caller.allow()
    caller.invoke()
    stage.sagemaker.delete_endpoint(EndpointName=gone)
    deadline = time.monotonic() + 200
    while gone in [one["EndpointName"] for one in stage.sagemaker.list_endpoints(NameContains=gone)["Endpoints"]]:
        assert time.monotonic() < deadline
    with pytest.raises(ClientError, match=f"Endpoint {gone} of account 000000000000 not found"):
        caller.invoke()
