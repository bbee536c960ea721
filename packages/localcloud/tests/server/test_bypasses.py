"""A user with few rights tries to do what its policy refuses, by requests that have two readings or a second name."""

from __future__ import annotations

import gzip
import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from .shared import OWNER, document

pytestmark = pytest.mark.e2e

FORM = "application/x-www-form-urlencoded; charset=utf-8"
JSON = {"dynamodb": "1.0", "sqs": "1.0", "states": "1.0"}
TARGETS = {
    "dynamodb": "DynamoDB_20120810",
    "events": "AWSEvents",
    "kms": "TrentService",
    "logs": "Logs_20140328",
    "sagemaker": "SageMaker",
    "sqs": "AmazonSQS",
    "ssm": "AmazonSSM",
    "states": "AWSStepFunctions",
}
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
READ_ONLY = {"Effect": "Allow", "Action": ["iam:GetUser", "sns:ListTopics", "sqs:ListQueues"], "Resource": "*"}


def deny(action: str, resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


class Attacker:
    """A user of the cloud's own account, and requests that no SDK would make, signed as such."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.iam = cloud.client("iam")
        self.iam.create_user(UserName="attacker")
        keys = self.iam.create_access_key(UserName="attacker")["AccessKey"]
        self.keys = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"])

    def may(self, *statements: dict[str, Any]) -> None:
        self.iam.put_user_policy(UserName="attacker", PolicyName="p", PolicyDocument=document(*statements))

    def client(self, service: str) -> Any:
        return self.cloud.client(service, self.keys.access_key, self.keys.secret_key)

    def send(
        self, service: str, path: str = "/", body: bytes | str = b"", method: str = "POST", **headers: str
    ) -> tuple[int, str]:
        data = body.encode() if isinstance(body, str) else body
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = AWSRequest(method, self.cloud.url + path, data=data, headers=given)
        SigV4Auth(self.keys, service, "us-east-1").add_auth(request)
        sent = urllib.request.Request(request.url, data or None, dict(request.headers), method=method)
        try:
            with urllib.request.urlopen(sent, timeout=30) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")

    def json(self, service: str, action: str, body: Any, **headers: str) -> tuple[int, str]:
        kind = f"application/x-amz-json-{JSON.get(service, '1.1')}"
        target = f"{TARGETS[service]}.{action}"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(service, body=data, **{"Content_Type": kind, "X_Amz_Target": target, **headers})


@pytest.fixture(scope="module")
def attacker(cloud):
    return Attacker(cloud)


def code(call: Callable[[], Any]) -> str:
    """The code of the refusal, or nothing."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def assert_refused(answer: tuple[int, str]) -> None:
    assert 400 <= answer[0] < 500, answer


ATTACH = f"Action=AttachUserPolicy&Version=2010-05-08&UserName=attacker&PolicyArn={ADMIN}"


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/?Action=GetUser&Version=2010-05-08", ATTACH, {"Content_Type": FORM}),
        ("/", f"Action=GetUser&{ATTACH}", {"Content_Type": FORM}),
        ("/", f"{ATTACH}&Action=GetUser", {"Content_Type": FORM}),
        ("/", ATTACH, {"Content_Type": "text/plain"}),
        ("/", ATTACH, {"Content_Type": ""}),
        ("/", ATTACH, {"Content_Type": FORM, "X_Amz_Target": "IAMService.GetUser"}),
        (
            "/",
            json.dumps({"UserName": "attacker", "PolicyArn": ADMIN}),
            {"Content_Type": "application/x-amz-json-1.1", "X_Amz_Target": "IAMService.AttachUserPolicy"},
        ),
        ("/bucket", ATTACH, {"Content_Type": FORM}),
        (f"/?{ATTACH}", "", {}),
        ("/", ATTACH, {"Content_Type": FORM, "Content_Encoding": "deflate"}),
    ],
    ids=[
        "action in both",
        "action twice, first",
        "action twice, last",
        "text",
        "no type",
        "target",
        "json",
        "path",
        "query",
        "encoding",
    ],
)
def test_who_may_only_read_users_does_not_become_administrator(attacker, path, body, headers):
    attacker.may(READ_ONLY)
    assert_refused(attacker.send("iam", path, body, **headers))
    attached = attacker.iam.list_attached_user_policies(UserName="attacker")["AttachedPolicies"]
    assert attached == []


def test_an_identity_that_anyone_may_ask_for_is_no_role(attacker):
    trust = {"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "sts:AssumeRole"}
    role = attacker.iam.create_role(RoleName="bypass", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    attacker.may(READ_ONLY)
    body = f"Action=AssumeRole&Version=2011-06-15&RoleArn={role}&RoleSessionName=s"
    status, text = attacker.send("sts", "/?Action=GetCallerIdentity&Version=2011-06-15", body, Content_Type=FORM)
    assert status == 400
    assert "InvalidParameterCombination" in text


@pytest.mark.parametrize("service", ["sns", "sqs"])
def test_a_list_is_not_authorised_for_a_topic_or_a_queue_that_is_made(attacker, service):
    attacker.may(READ_ONLY)
    kind, allowed = {"sns": ("Topic", "ListTopics"), "sqs": ("Queue", "ListQueues")}[service]
    name = {"sns": "Name", "sqs": "QueueName"}[service]
    assert_refused(
        attacker.send(service, f"/?Action={allowed}", f"Action=Create{kind}&{name}=stolen", Content_Type=FORM)
    )
    if service == "sqs":
        headers = {"Content_Type": "application/x-amz-json-1.0", "X_Amz_Target": "AmazonSQS.CreateQueue"}
        assert_refused(attacker.send("sqs", "/?Action=ListQueues", json.dumps({"QueueName": "stolen"}), **headers))
    listed = attacker.cloud.client(service)
    found = listed.list_topics()["Topics"] if service == "sns" else listed.list_queues().get("QueueUrls", [])
    assert "stolen" not in str(found)


@pytest.fixture(scope="module")
def table(cloud):
    client = cloud.client("dynamodb")
    arn = client.create_table(
        TableName="guarded",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]["TableArn"]
    client.put_item(TableName="guarded", Item={"pk": {"S": "theirs"}, "v": {"S": "secret"}})
    return arn


GET = {"TableName": "guarded", "Key": {"pk": {"S": "theirs"}}}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b" " + json.dumps(GET).encode(), {}),
        (b"\n" + json.dumps(GET).encode(), {}),
        (json.dumps(GET).encode("utf-16"), {}),
        (json.dumps(GET).encode("utf-16-le"), {}),
        (b"\xef\xbb\xbf" + json.dumps(GET).encode(), {}),
        (b'{"TableName": "other", ' + json.dumps(GET).encode()[1:], {}),
        (gzip.compress(json.dumps(GET).encode()), {"Content_Encoding": "gzip"}),
        (json.dumps({**GET, "TableName": "arn:aws:dynamodb:us-east-1:000000000000:table/guarded/index/x"}), {}),
        (json.dumps({**GET, "TableName": "arn:aws:dynamodb:eu-west-1:000000000000:table/guarded"}), {}),
        (json.dumps({**GET, "TableName": "arn:aws:dynamodb:us-east-1:111111111111:table/guarded"}), {}),
    ],
    ids=["space", "line", "utf-16", "utf-16-le", "bom", "twice", "gzip", "index", "region", "account"],
)
def test_a_table_that_is_denied_is_not_read_however_the_request_is_written(attacker, table, body, headers):
    attacker.may(ALL, deny("dynamodb:*", table))
    data = body if isinstance(body, bytes) else body.encode()
    status, text = attacker.json("dynamodb", "GetItem", data, **headers)
    assert_refused((status, text))
    assert "secret" not in text


@pytest.mark.parametrize(
    ("action", "given"),
    [
        ("BatchGetItem", {"RequestItems": {"guarded": {"Keys": [GET["Key"]]}}}),
        ("TransactGetItems", {"TransactItems": [{"Get": GET}]}),
        (
            "TransactGetItems",
            {
                "TransactItems": [
                    {"Get": {**GET, "TableName": "arn:aws:dynamodb:us-east-1:000000000000:table/guarded/x"}}
                ]
            },
        ),
        ("ExecuteStatement", {"Statement": "SELECT * FROM guarded"}),
        ("BatchExecuteStatement", {"Statements": [{"Statement": "SELECT * FROM guarded WHERE pk='theirs'"}]}),
        ("Scan", {"TableName": "guarded"}),
        ("GetItem", {**GET, "RequestItems": {}}),
    ],
)
def test_a_table_that_is_denied_is_not_read_by_another_operation(attacker, table, action, given):
    attacker.may(ALL, deny("dynamodb:*", table))
    status, text = attacker.json("dynamodb", action, given)
    assert_refused((status, text))
    assert "secret" not in text


def test_leading_keys_restrict_every_operation_on_items_to_them(attacker, table):
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:username}"]}}
    attacker.may({"Effect": "Allow", "Action": "dynamodb:*", "Resource": table, "Condition": own})
    client = attacker.client("dynamodb")
    mine, theirs = {"pk": {"S": "attacker"}}, {"pk": {"S": "theirs"}}
    query = {"TableName": "guarded", "KeyConditionExpression": "#k = :v", "ExpressionAttributeNames": {"#k": "pk"}}

    def calls(key: dict[str, Any]) -> list[str]:
        return [
            code(lambda: client.put_item(TableName="guarded", Item={**key, "n": {"N": "1"}})),
            code(lambda: client.get_item(TableName="guarded", Key=key)),
            code(lambda: client.query(**query, ExpressionAttributeValues={":v": key["pk"]})),
            code(lambda: client.batch_get_item(RequestItems={"guarded": {"Keys": [key]}})),
            code(lambda: client.batch_write_item(RequestItems={"guarded": [{"DeleteRequest": {"Key": key}}]})),
            code(lambda: client.transact_get_items(TransactItems=[{"Get": {"TableName": "guarded", "Key": key}}])),
        ]

    assert calls(mine) == [""] * 6
    assert calls(theirs) == ["AccessDeniedException"] * 6
    both = {"guarded": {"Keys": [mine, theirs]}}
    assert code(lambda: client.batch_get_item(RequestItems=both)) == "AccessDeniedException"


def test_a_key_that_is_denied_is_denied_by_each_of_its_names(attacker, cloud):
    kms = cloud.client("kms")
    key, other = (kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    kms.create_alias(AliasName="alias/guarded", TargetKeyId=key)
    secret = kms.encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"]
    attacker.may(ALL, deny("kms:*", key))
    client = attacker.client("kms")
    alias = f"arn:aws:kms:us-east-1:{OWNER}:alias/guarded"
    for name in (key, key.rpartition("/")[2], "alias/guarded", alias):
        assert code(lambda name=name: client.encrypt(KeyId=name, Plaintext=b"x")) == "AccessDeniedException", name
        assert code(lambda name=name: client.describe_key(KeyId=name)) == "AccessDeniedException", name
    for given in ({}, {"KeyId": "alias/none"}, {"KeyId": key}):
        assert code(lambda given=given: client.decrypt(CiphertextBlob=secret, **given)) == "AccessDeniedException", (
            given
        )
    for call in (
        lambda: client.re_encrypt(CiphertextBlob=secret, DestinationKeyId=other),
        lambda: client.create_alias(AliasName="alias/mine", TargetKeyId=key),
        lambda: client.update_alias(AliasName="alias/guarded", TargetKeyId=other),
        lambda: client.delete_alias(AliasName="alias/guarded"),
        lambda: client.create_grant(
            KeyId=key, GranteePrincipal=f"arn:aws:iam::{OWNER}:user/attacker", Operations=["Decrypt"]
        ),
    ):
        assert code(call) == "AccessDeniedException"
    assert not code(lambda: client.encrypt(KeyId=other, Plaintext=b"x")), "another key stays allowed"


def test_a_role_is_not_handed_over_by_a_request_that_begins_with_a_blank(attacker):
    attacker.may(ALL, deny("iam:PassRole", "*"))
    role = f"arn:aws:iam::{OWNER}:role/passed"
    machine = {"name": "bypass", "roleArn": role, "definition": '{"StartAt":"a","States":{"a":{"Type":"Succeed"}}}'}
    model = {"ModelName": "bypass", "ExecutionRoleArn": role}
    filtered = {"logGroupName": "g", "filterName": "f", "filterPattern": "", "destinationArn": "arn:x", "roleArn": role}
    for service, action, given in (
        ("states", "CreateStateMachine", machine),
        ("sagemaker", "CreateModel", model),
        ("events", "PutRule", {"Name": "bypass", "RoleArn": role}),
        ("events", "PutTargets", {"Rule": "r", "Targets": [{"Id": "1", "Arn": "arn:x", "RoleArn": role}]}),
        ("logs", "PutSubscriptionFilter", filtered),
    ):
        for blank in (b"", b" ", b"\r\n\t"):
            status, text = attacker.json(service, action, blank + json.dumps(given).encode())
            assert status in {400, 403}, (service, text)
            assert "iam:PassRole" in text, (service, text)


def archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("f.py", "def handler(event, context): return 'stolen'")
    return made.getvalue()


@pytest.fixture(scope="module")
def function(cloud, functions_of):
    return functions_of(cloud).create("guarded")


def test_a_function_is_not_changed_by_a_request_that_says_it_reads(attacker, function):
    attacker.may({"Effect": "Allow", "Action": "lambda:GetFunction", "Resource": "*"})
    path = "/2015-03-31/functions/guarded"
    for sent in (
        attacker.send("lambda", f"{path}/configuration?Action=GetFunction", "{}", "PUT"),
        attacker.send("lambda", f"{path}/configuration", "{}", "PUT", X_Amz_Target="Lambda.GetFunction"),
        attacker.send("lambda", f"{path}/configuration", "{}", "PUT", X_Http_Method_Override="GET"),
        attacker.send("lambda", "/2019-09-25/functions/guarded/event-invoke-config", "{}", "POST"),
        attacker.send("lambda", f"{path}//configuration", "{}", "PUT"),
        attacker.send("lambda", "/2015-03-31/layers/../functions/guarded/configuration", "{}", "PUT"),
        attacker.send("lambda", "/2015-03-31/%66unctions%2fguarded", "", "DELETE"),
        attacker.send("lambda", "/2015-03-31/event-source-mappings/none", "", "DELETE"),
    ):
        assert_refused(sent)
    assert attacker.client("lambda").get_function(FunctionName="guarded")["Configuration"]["FunctionArn"] == function


def test_a_function_that_is_denied_is_denied_by_each_of_its_names(attacker, function):
    attacker.may(ALL, deny("lambda:*", function))
    client = attacker.client("lambda")
    for name in ("guarded", function, f"{OWNER}:function:guarded", "guarded:$LATEST", f"{function}:$LATEST"):
        assert code(lambda name=name: client.invoke(FunctionName=name)), name


@pytest.fixture(scope="module")
def bucket(cloud):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bypass")
    s3.put_bucket_versioning(Bucket="bypass", VersioningConfiguration={"Status": "Enabled"})
    for key in ("secret", "open", "a//b", "d/"):
        s3.put_object(Bucket="bypass", Key=key, Body=b"secret of " + key.encode())
    return "arn:aws:s3:::bypass"


def test_an_object_is_not_written_by_a_request_that_says_it_reads(attacker, bucket):
    attacker.may({"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectTagging"], "Resource": f"{bucket}/*"})
    for sent in (
        attacker.send("s3", "/bypass/open?Action=GetObject", "x", "PUT"),
        attacker.send("s3", "/bypass/open", "Action=GetObject", "PUT", Content_Type=FORM),
        attacker.send("s3", "/bypass/open", "x", "PUT", X_Amz_Target="S3.GetObject"),
        attacker.send("s3", "/bypass?acl&tagging", "", "GET"),
        attacker.send("s3", "/bypass//", "x", "PUT"),
        attacker.send("s3", "/", "Action=GetObject", "POST", Content_Type=FORM),
    ):
        assert_refused(sent)
    assert attacker.client("s3").get_object(Bucket="bypass", Key="open")["Body"].read() == b"secret of open"


def test_an_object_that_is_denied_is_denied_by_each_of_its_names(attacker, bucket):
    attacker.may(ALL, deny("s3:*", f"{bucket}/secret"), deny("s3:*", f"{bucket}/a//b"), deny("s3:*", f"{bucket}/d/"))
    s3, host = attacker.client("s3"), f"bypass.localhost:{attacker.cloud.port}"
    for path in (
        "/bypass/secret",
        "//bypass/secret",
        "/bypass/%73ecret",
        "/bypass/a//b",
        "/bypass/d/",
        "/bypass/./secret",
    ):
        assert "secret of" not in attacker.send("s3", path, method="GET")[1], path
    for path in ("/secret", "/%73ecret", "/a//b", "/d/"):
        assert "secret of" not in attacker.send("s3", path, method="GET", Host=host)[1], path
    for source in ("bypass/secret", "/bypass/secret", "bypass/%73ecret", "bypass%2Fsecret"):
        answer = attacker.send("s3", "/bypass/copied", method="PUT", X_Amz_Copy_Source=source)
        assert_refused(answer)
    for keys in ("<Key>secret</Key>", "<Key>secret</Key><Key>open</Key>", "<Key>open</Key><Key>secret</Key>"):
        attacker.send("s3", "/bypass?delete", f"<Delete><Object>{keys}</Object></Delete>")
    versions = attacker.cloud.client("s3").list_object_versions(Bucket="bypass", Prefix="secret")
    assert "DeleteMarkers" not in versions
    assert code(lambda: s3.get_object(Bucket="bypass", Key="open")) == ""


def test_a_version_is_deleted_by_who_may_delete_versions_only(attacker, bucket):
    attacker.may({"Effect": "Allow", "Action": ["s3:DeleteObject", "s3:PutObject"], "Resource": f"{bucket}/*"})
    version = attacker.cloud.client("s3").head_object(Bucket="bypass", Key="open")["VersionId"]
    with suppress(ClientError):
        one = {"Key": "open", "VersionId": version}
        attacker.client("s3").delete_objects(Bucket="bypass", Delete={"Objects": [one]})
    assert attacker.cloud.client("s3").head_object(Bucket="bypass", Key="open", VersionId=version)
    s3 = attacker.client("s3")
    assert code(lambda: s3.put_object(Bucket="bypass", Key="t", Tagging="a=b")) == "AccessDenied"
    assert code(lambda: s3.put_object(Bucket="bypass", Key="t", ACL="public-read")) == "AccessDenied"
    form = b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nsecret\r\n--b--\r\n'
    assert attacker.send("s3", "/bypass", form, Content_Type="multipart/form-data; boundary=b")[0] == 501


def test_a_user_does_not_join_a_group_that_is_denied(attacker):
    attacker.iam.create_group(GroupName="admins", Path="/high/")
    attacker.may(
        ALL, deny("iam:*", f"arn:aws:iam::{OWNER}:group/high/*"), deny("iam:*", f"arn:aws:iam::{OWNER}:role/high/*")
    )
    trust = {"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "sts:AssumeRole"}
    attacker.iam.create_role(RoleName="high", Path="/high/", AssumeRolePolicyDocument=document(trust))
    client = attacker.client("iam")
    assert code(lambda: client.add_user_to_group(GroupName="admins", UserName="attacker")) == "AccessDenied"
    assert code(lambda: client.attach_group_policy(GroupName="admins", PolicyArn=ADMIN)) == "AccessDenied"
    assert code(lambda: client.delete_role(RoleName="high")) == "AccessDenied"
    body = f"Action=AttachGroupPolicy&Version=2010-05-08&GroupName=admins&RoleName=x&PolicyArn={ADMIN}"
    assert_refused(attacker.send("iam", "/", body, Content_Type=FORM))


def test_a_policy_that_may_not_be_attached_is_not(attacker):
    only = {"ArnEquals": {"iam:PolicyARN": ADMIN}}
    attacker.may(ALL, deny("iam:Attach*", "*", Condition=only))
    client = attacker.client("iam")
    assert code(lambda: client.attach_user_policy(UserName="attacker", PolicyArn=ADMIN)) == "AccessDenied"


def test_parameters_queues_and_secrets_that_are_denied_are_denied_by_each_of_their_names(attacker, cloud):
    cloud.client("ssm").put_parameter(Name="/high/secret", Value="hidden", Type="String")
    url = cloud.client("sqs").create_queue(QueueName="guarded")["QueueUrl"]
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="hidden")
    here = f"us-east-1:{OWNER}"
    attacker.may(
        ALL, deny("ssm:*", f"arn:aws:ssm:{here}:parameter/high/*"), deny("sqs:*", f"arn:aws:sqs:{here}:guarded")
    )
    ssm = attacker.client("ssm")
    for name in ("/high/secret", "/high/secret:1", f"arn:aws:ssm:{here}:parameter/high/secret"):
        assert code(lambda name=name: ssm.get_parameter(Name=name)) == "AccessDeniedException", name
        assert code(lambda name=name: ssm.get_parameters(Names=["/open", name])) == "AccessDeniedException", name
    for queue in (url, f"{url}/", f"{url}?a", f"{url};a", f"{OWNER}/guarded", "guarded", f"http://x/y/{OWNER}/guarded"):
        answer = attacker.json("sqs", "ReceiveMessage", {"QueueUrl": queue})
        assert "hidden" not in answer[1], queue
    assert "hidden" not in attacker.json("sqs", "ReceiveMessage", {})[1]
    assert_refused(attacker.send("sqs", f"/{OWNER}/guarded", "Action=ReceiveMessage", Content_Type=FORM))


def test_a_log_group_that_is_denied_is_denied_by_each_form_of_its_name(attacker, cloud):
    logs, group = attacker.client("logs"), f"arn:aws:logs:us-east-1:{OWNER}:log-group:guarded"
    cloud.client("logs").create_log_group(logGroupName="guarded", tags={"team": "high"})
    cloud.client("logs").create_log_stream(logGroupName="guarded", logStreamName="secret")

    def calls() -> list[str]:
        return [
            code(lambda: logs.get_log_events(logGroupName="guarded", logStreamName="secret")),
            code(lambda: logs.get_log_events(logGroupIdentifier=group, logStreamName="secret")),
            code(lambda: logs.filter_log_events(logGroupName="guarded")),
        ]

    for form in ("", ":*", "*", ":log-stream:*"):
        attacker.may(ALL, deny("logs:*", group + form))
        assert calls() == ["AccessDeniedException"] * 3, form
    attacker.may(ALL, deny("logs:*", f"{group}:log-stream:secret"))
    assert calls() == ["AccessDeniedException"] * 2 + [""]
    attacker.may(ALL, deny("logs:*", "*", Condition={"StringEquals": {"aws:ResourceTag/team": "high"}}))
    assert calls() == ["AccessDeniedException"] * 3
    attacker.may({"Effect": "Allow", "Action": "logs:*", "Resource": group})
    assert calls() == ["AccessDeniedException"] * 3, "as on AWS, where this is the name for tags only"
    assert code(lambda: logs.tag_resource(resourceArn=group, tags={"a": "b"})) == ""
    attacker.may({"Effect": "Allow", "Action": "logs:*", "Resource": f"{group}:*"})
    assert calls() == [""] * 3


def test_a_resource_that_may_not_be_tagged_is_not_by_a_request_for_many_or_one_that_makes_it(attacker, cloud, table):
    attacker.may(ALL, deny("dynamodb:TagResource", "*"), deny("iam:TagRole", "*"), deny("sqs:TagQueue", "*"))
    cloud.client("sqs").create_queue(QueueName="untagged")
    many, tag = attacker.client("resourcegroupstaggingapi"), {"team": "low"}
    trust = document({"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "sts:AssumeRole"})
    keys = {"AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}], "BillingMode": "PAY_PER_REQUEST"}
    keys["KeySchema"] = [{"AttributeName": "k", "KeyType": "HASH"}]
    tags = [{"Key": "team", "Value": "low"}]
    iam, sqs, dynamodb = (attacker.client(name) for name in ("iam", "sqs", "dynamodb"))
    queue = f"arn:aws:sqs:us-east-1:{OWNER}:untagged"
    for call in (
        lambda: many.tag_resources(ResourceARNList=[queue, table], Tags=tag),
        lambda: many.tag_resources(ResourceARNList=[f"arn:aws:iam::{OWNER}:role/x"], Tags=tag),
        lambda: iam.create_role(RoleName="tagged", AssumeRolePolicyDocument=trust, Tags=tags),
        lambda: sqs.create_queue(QueueName="tagged", tags=tag),
        lambda: dynamodb.create_table(TableName="tagged", Tags=tags, **keys),
    ):
        assert code(call) in {"AccessDenied", "AccessDeniedException"}
    assert cloud.client("dynamodb").list_tags_of_resource(ResourceArn=table)["Tags"] == []
    assert code(lambda: many.untag_resources(ResourceARNList=[table], TagKeys=["team"])) == "", "this right is there"


@pytest.mark.parametrize(
    ("effect", "operator"), [("Deny", "StringEquals"), ("Allow", "StringNotEquals"), ("Allow", "StringEqualsIfExists")]
)
def test_a_condition_key_that_is_not_computed_refuses_and_is_named(attacker, effect, operator):
    statement = {"Effect": effect, "Action": "sns:*", "Resource": "*", "Condition": {operator: {"sns:Protocol": "x"}}}
    attacker.may(*([ALL] if effect == "Deny" else []), statement)
    with pytest.raises(ClientError, match="does not compute the condition key sns:Protocol"):
        attacker.client("sns").list_topics()
    attacker.may(ALL)
    attacker.client("sns").list_topics()


def test_a_policy_of_a_resource_that_nothing_would_ask_is_refused(cloud, table):
    policy = document({"Effect": "Deny", "Principal": "*", "Action": "dynamodb:*", "Resource": table})
    with pytest.raises(ClientError, match="has no policies of the resources of dynamodb, which PutResourcePolicy sets"):
        cloud.client("dynamodb").put_resource_policy(ResourceArn=table, Policy=policy)
    with pytest.raises(ClientError, match="has no policies of the resources of events, which PutPermission sets"):
        cloud.client("events").put_permission(Action="events:PutEvents", Principal="*", StatementId="s")


def test_alarms_are_read_in_one_protocol(attacker):
    attacker.may({"Effect": "Allow", "Action": "cloudwatch:ListMetrics", "Resource": "*"})
    path, kind = "/service/GraniteServiceVersion20100801/operation/ListMetrics", "application/cbor"
    body = b"\xa1\x6aAlarmNames\x81\x61a"
    granite = "GraniteServiceVersion20100801.DeleteAlarms"
    for sent in (
        attacker.send("monitoring", path, body, Content_Type=kind, X_Amz_Target=granite),
        attacker.send("monitoring", f"{path}/", body, Content_Type=kind),
        attacker.send("monitoring", f"{path}?Action=DeleteAlarms", body, Content_Type=kind),
        attacker.send(
            "monitoring", "/?Action=ListMetrics", "Action=DeleteAlarms&AlarmNames.member.1=a", Content_Type=FORM
        ),
    ):
        assert_refused(sent)
