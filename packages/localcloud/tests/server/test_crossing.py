"""Two accounts: what one owns, the other reads only if both allow it. These are the reads of a promotion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from .shared import (
    GROUP,
    KIND,
    MANIFEST,
    OTHER,
    OWNER,
    PACKAGE,
    READS,
    REPOSITORY,
    VERSION,
    Owned,
    Read,
    Reader,
    document,
)

pytestmark = pytest.mark.e2e

ACCOUNT = {"AWS": f"arn:aws:iam::{OTHER}:root"}


@pytest.fixture(scope="module")
def owned(cloud):
    return Owned(cloud)


@pytest.fixture(scope="module")
def reader(cloud):
    return Reader(cloud, "shared-reader")


@pytest.fixture(scope="module")
def somebody(cloud):
    """Another role of the same account, which may do nothing."""
    return Reader(cloud, "shared-somebody")


@pytest.fixture(scope="module")
def roles(reader, somebody):
    return reader, somebody


def refused(call: Any) -> tuple[str, str]:
    """The code and the message of a refusal."""
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


class Doors:
    """The policies on both sides of a read."""

    def __init__(self, read: Read, owned: Owned, reader: Reader) -> None:
        self._read, self._owned, self._reader = read, owned, reader
        self._statement = {"Effect": "Allow", "Action": read.action, "Resource": read.arn(owned)}
        self._is_open = False

    def own(self, allowed: bool) -> None:
        self._reader.allow(*([self._statement] if allowed else []))

    def theirs(self, *principals: dict[str, str]) -> None:
        opened = getattr(self._owned, self._read.opened_by)
        if self._is_open:
            opened()
        if principals:
            opened(*({**self._statement, "Principal": principal} for principal in principals))
        self._is_open = bool(principals)


@pytest.fixture(params=READS.values(), ids=READS)
def read(request):
    return request.param


@pytest.fixture
def doors(read, owned, reader):
    opened = Doors(read, owned, reader)
    opened.own(True)
    yield opened
    opened.own(False)
    opened.theirs()


def test_a_role_of_another_account_reads_only_what_both_accounts_allow(read, owned, reader, somebody, doors):
    def ask() -> Any:
        return read.ask(reader.client(read.service), owned)

    code, message = refused(ask)
    assert code == read.code
    assert f"/{reader.name}/reading is not authorized to perform: {read.action} on resource" in message
    if read.service != "sns":  # SNS names no policy
        assert f"because no resource-based policy allows the {read.action} action" in message
    doors.theirs({"AWS": somebody.arn})
    assert refused(ask)[0] == read.code
    doors.theirs({"AWS": reader.arn})
    assert ask() == read.answer
    doors.theirs(ACCOUNT)
    assert ask() == read.answer
    doors.own(False)
    code, message = refused(ask)
    assert code == read.code
    assert f"because no identity-based policy allows the {read.action} action" in message
    doors.own(True)
    assert ask() == read.answer


def test_the_root_of_another_account_needs_the_resources_policy_too(cloud, read, owned, doors):
    def ask() -> Any:
        return read.ask(cloud.client(read.service, account=OTHER), owned)

    assert refused(ask)[0] == read.code
    doors.theirs(ACCOUNT)
    assert ask() == read.answer


def test_a_refusal_in_the_resources_policy_goes_before_all(owned, reader):
    read = READS["GetObject"]
    anything = {"Action": "s3:*", "Resource": "arn:aws:s3:::shared/*"}
    reader.allow({"Effect": "Allow", **anything})
    owned.open_bucket(
        {"Effect": "Allow", "Principal": ACCOUNT, **anything},
        {"Effect": "Deny", "Principal": {"AWS": reader.arn}, **anything},
    )
    try:
        code, message = refused(lambda: read.ask(reader.client("s3"), owned))
    finally:
        owned.open_bucket()
        reader.allow()
    assert (code, "explicit deny" in message) == ("AccessDenied", True)


def test_leave_to_manage_another_accounts_key_has_no_effect(owned, reader):
    managing = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    reader.allow(managing)
    owned.open_key({**managing, "Principal": ACCOUNT})
    kms = reader.client("kms")
    try:
        assert kms.describe_key(KeyId=owned.key)["KeyMetadata"]["Arn"] == owned.key
        assert refused(lambda: kms.get_key_policy(KeyId=owned.key, PolicyName="default"))[0] == "AccessDeniedException"
        unknown = refused(lambda: kms.describe_key(KeyId=owned.key.rpartition("/")[2]))[0]
    finally:
        owned.open_key()
        reader.allow()
    assert unknown in {"NotFoundException", "AccessDeniedException"}, "a key of another account is named by its ARN"


def test_an_object_under_a_key_needs_the_keys_policy_too(cloud, owned, reader):
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": owned.key}
    cloud.client("s3").put_object(Bucket="shared", Key="under-key", Body=b"x", **encrypted)
    objects = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/*"}
    decrypts = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": owned.key}
    owned.open_bucket({**objects, "Principal": ACCOUNT})

    def ask() -> Any:
        return reader.client("s3").get_object(Bucket="shared", Key="under-key")["Body"].read()

    try:
        reader.allow(objects, decrypts)
        code, message = refused(ask)
        assert (code, "kms:Decrypt" in message) == ("AccessDenied", True)
        owned.open_key({**decrypts, "Principal": ACCOUNT})
        assert ask() == b"x"
        reader.allow(objects)
        assert refused(ask)[0] == "AccessDenied"
    finally:
        owned.open_bucket()
        owned.open_key()
        reader.allow()
        cloud.client("s3").delete_object(Bucket="shared", Key="under-key")


def test_whether_an_object_is_missing_is_told_to_who_may_list_the_bucket(owned, reader):
    gets = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/*"}
    lists = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::shared"}

    def code() -> str:
        return refused(lambda: reader.client("s3").get_object(Bucket="shared", Key="none"))[0]

    try:
        reader.allow(gets, lists)
        owned.open_bucket({**gets, "Principal": ACCOUNT})
        assert code() == "AccessDenied"
        owned.open_bucket({**gets, "Principal": ACCOUNT}, {**lists, "Principal": ACCOUNT})
        assert code() == "NoSuchKey"
    finally:
        owned.open_bucket()
        reader.allow()


def test_an_image_is_pulled_from_another_account_only_if_both_allow_it(cloud, owned, reader):
    token = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    pulls = {"Effect": "Allow", "Action": ["ecr:BatchGetImage"], "Resource": REPOSITORY}

    def pulled(path: str) -> Any:
        url = f"{cloud.url}/v2/{path}/manifests/v1"
        kinds = {"Accept": KIND, "Authorization": login}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=kinds), timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["errors"][0]["code"]

    try:
        reader.allow(token, pulls)
        login = reader.login()
        assert pulled(f"{OWNER}/shared") == (403, "DENIED")
        assert pulled("shared") == (404, "NAME_UNKNOWN") or pulled("shared")[0] == 403, "its own has none"
        owned.open_repository({**pulls, "Principal": ACCOUNT})
        assert pulled(f"{OWNER}/shared") == MANIFEST
        reader.allow(token)
        assert pulled(f"{OWNER}/shared") == (403, "DENIED")
    finally:
        owned.open_repository()
        reader.allow()


@pytest.mark.parametrize(
    ("wanted", "given", "allowed"),
    [
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, {}, True),
        ({"AWS": OTHER}, {}, True),
        ({"AWS": "the role"}, {}, True),
        ({"AWS": "another role"}, {}, False),
        ({"AWS": "arn:aws:iam::333333333333:root"}, {}, False),
        ({"Service": "lambda.amazonaws.com"}, {}, False),
        ({"AWS": OTHER, "ExternalId": "seven"}, {"ExternalId": "seven"}, True),
        ({"AWS": OTHER, "ExternalId": "seven"}, {"ExternalId": "eight"}, False),
        ({"AWS": OTHER, "ExternalId": "seven"}, {}, False),
    ],
)
def test_a_role_of_another_account_is_assumed_if_its_trust_names_the_caller(cloud, roles, wanted, given, allowed):
    reader, somebody = roles
    named = {"the role": reader.arn, "another role": somebody.arn}
    principal = {kind: named.get(name, name) for kind, name in wanted.items() if kind != "ExternalId"}
    trust: dict[str, Any] = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    if "ExternalId" in wanted:
        trust["Condition"] = {"StringEquals": {"sts:ExternalId": wanted["ExternalId"]}}
    iam = cloud.client("iam")
    role = iam.create_role(RoleName="shared-target", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    asked = {"RoleArn": role, "RoleSessionName": "session", **given}
    callers = [reader.client("sts")]
    if wanted != {"AWS": "the role"}:  # a root is no role
        callers.append(cloud.client("sts", account=OTHER))
    try:
        reader.allow({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role})
        for caller in callers:
            if not allowed:
                assert refused(lambda: caller.assume_role(**asked))[0] == "AccessDenied"  # noqa: B023
                continue
            keys = caller.assume_role(**asked)["Credentials"]
            session = cloud.client("sts", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
            found = session.get_caller_identity()
            assert found["Account"] == OWNER
            assert found["Arn"] == f"arn:aws:sts::{OWNER}:assumed-role/shared-target/session"
        reader.allow()
        code, _ = refused(lambda: callers[0].assume_role(**asked))
        assert code == "AccessDenied", "the caller's own policies do not allow it"
    finally:
        iam.delete_role(RoleName="shared-target")


def test_a_session_of_another_accounts_role_acts_there(cloud, reader, owned):
    trust = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "sts:AssumeRole"}
    iam = cloud.client("iam")
    role = iam.create_role(RoleName="shared-acting", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    reads = {"Effect": "Allow", "Action": ["s3:GetObject", "sagemaker:Describe*"], "Resource": "*"}
    iam.put_role_policy(RoleName="shared-acting", PolicyName="p", PolicyDocument=document(reads))
    reader.allow({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role})
    keys = reader.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    reader.allow()
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name="us-east-1")
    s3, sagemaker = (session.client(name, endpoint_url=cloud.url) for name in ("s3", "sagemaker"))
    assert s3.get_object(Bucket="shared", Key="package.tar")["Body"].read() == PACKAGE
    assert sagemaker.describe_model_package_group(ModelPackageGroupName="shared")["ModelPackageGroupArn"] == GROUP


def test_the_aws_command_plays_a_promotion_between_two_accounts(owned, reader, tmp_path):
    def aws(*words: str) -> tuple[int, str]:
        command = [str(Path(sys.executable).with_name("aws")), *words, "--output", "json"]
        command[0] = command[0] if Path(command[0]).exists() else "aws"
        environment = {**os.environ, **reader.environment()}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr

    signature = tmp_path / "signature"
    signature.write_bytes(owned.signature)
    package = tmp_path / "package.tar"
    package.write_bytes(PACKAGE)
    reads = {
        "s3": ("s3", "cp", "s3://shared/package.tar", str(tmp_path / "copy")),
        "sagemaker": ("sagemaker", "describe-model-package", "--model-package-name", VERSION),
        "ecr": (
            *("ecr", "batch-get-image", "--registry-id", OWNER),
            *("--repository-name", "shared", "--image-ids", "imageTag=v1"),
        ),
        "kms": (
            *("kms", "verify", "--key-id", owned.signer, "--message", f"fileb://{package}"),
            *("--signature", f"fileb://{signature}", "--signing-algorithm", "RSASSA_PSS_SHA_256"),
        ),
    }
    allowed = {
        "s3": (["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::shared", "arn:aws:s3:::shared/*"]),
        "sagemaker": (["sagemaker:DescribeModelPackage"], [VERSION]),
        "ecr": (["ecr:BatchGetImage"], [REPOSITORY]),
        "kms": (["kms:Verify"], [owned.signer]),
    }
    statements = {
        name: {"Effect": "Allow", "Action": actions, "Resource": resources}
        for name, (actions, resources) in allowed.items()
    }
    opened = {
        "s3": owned.open_bucket,
        "sagemaker": owned.open_group,
        "ecr": owned.open_repository,
        "kms": owned.open_key,
    }
    status, identity = aws("sts", "get-caller-identity")
    assert (status, json.loads(identity)["Account"]) == (0, OTHER)
    reader.allow(*statements.values())
    try:
        for name, words in reads.items():
            status, said = aws(*words)
            assert status != 0, name
            assert "AccessDenied" in said or "403" in said, said
        for name, opens in opened.items():
            opens({**statements[name], "Principal": ACCOUNT})
        assert {name: aws(*words)[0] for name, words in reads.items()} == dict.fromkeys(reads, 0)
        assert (tmp_path / "copy").read_bytes() == PACKAGE
    finally:
        for opens in opened.values():
            opens()
        reader.allow()
