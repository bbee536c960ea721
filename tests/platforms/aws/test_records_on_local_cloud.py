"""The audit record on the local cloud: KMS signs, S3 takes each number once, and nobody deletes or overwrites."""

from __future__ import annotations

import json
from functools import cache, partial
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError

from audit.chain import Chain
from audit.record import Entry, RecordKind
from audit.verification import verify
from cli.view.audit_records import checking
from infra.aws import policies
from infra.aws.statements import allow, document
from platforms.aws.audit_records import S3Records
from platforms.aws.clients import Clients
from platforms.aws.kms_signer import KmsSigner
from platforms.aws.names import Names
from rollout.core.errors import RolloutError
from tests.audit.made import ENDPOINT, chain

pytestmark = pytest.mark.e2e


@pytest.fixture
def names(cloud) -> Names:
    """A stack of the test's own, whose bucket has the policy that infra gives it."""
    found = Names("flight-delay", f"local-{uuid4().hex[:8]}", "000000000000", "us-east-1", "aws")
    cloud.client("s3").create_bucket(Bucket=found.bucket)
    cloud.client("s3").put_bucket_policy(Bucket=found.bucket, Policy=policies.bucket(found))
    return found


@pytest.fixture
def clients(cloud) -> Clients:
    return cache(cloud.client)


@pytest.fixture
def key(clients: Clients, names: Names) -> str:
    made = clients("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256", Policy=policies.audit_key(names))
    return made["KeyMetadata"]["Arn"]


def test_what_kms_signed_is_verified_with_its_public_key_however_long_it_is(
    clients: Clients, names: Names, key: str
) -> None:
    records = S3Records(clients, names.bucket, KmsSigner(clients, key))
    made = chain(3)
    made = made.noting(Entry(1.0, RecordKind.VERDICT, {"said": "x" * 10_000})).sealed(ENDPOINT, "ada")
    for record in (*made.waiting, *made.waiting):  # the second time it is there
        records.put(record)
    check = checking(clients("kms").get_public_key(KeyId=key)["PublicKey"])
    seen = verify(records.lines(), ENDPOINT, check, made.kept(4))
    assert (seen.records, seen.finding) == (4, None)
    assert verify(records.lines(), ENDPOINT, check, Chain()).finding is not None


@pytest.fixture
def admin(cloud) -> Clients:
    """Clients of a user who may do everything that no policy of a resource denies; the cloud asks none of its root."""
    iam, name = cloud.client("iam"), f"admin-{uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=document(allow(["*"], ["*"])))
    keys = iam.create_access_key(UserName=name)["AccessKey"]
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], region_name="us-east-1")
    return cache(partial(session.client, endpoint_url=cloud.environment()["AWS_ENDPOINT_URL"]))


def test_an_administrator_neither_signs_nor_puts_nor_overwrites_nor_deletes_a_record(
    admin: Clients, clients: Clients, names: Names, key: str
) -> None:
    records = S3Records(clients, names.bucket, KmsSigner(clients, key))
    records.put(chain(1).waiting[0])
    (line,) = records.lines()
    s3, there = admin("s3"), {"Bucket": names.bucket, "Key": "audit/0000000001.json"}
    after = {**there, "Key": "audit/0000000002.json"}
    with pytest.raises(RolloutError, match=r"kms:Sign.*explicit deny"):
        S3Records(admin, names.bucket, KmsSigner(admin, key)).put(chain(2).waiting[1])
    for code, refused in (
        ("AccessDenied", lambda: s3.put_object(**there, Body=b"{}")),
        ("AccessDenied", lambda: s3.delete_object(**there)),
        ("AccessDenied", lambda: s3.delete_objects(Bucket=names.bucket, Delete={"Objects": [{"Key": there["Key"]}]})),
        ("AccessDenied", lambda: s3.copy_object(**there, CopySource=there)),
        ("AccessDenied", lambda: s3.put_object(**after, Body=b"{}", IfNoneMatch="*")),
    ):
        with pytest.raises(ClientError) as found:
            refused()
        assert found.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError) as found:
        clients("s3").put_object(**there, Body=b"{}", IfNoneMatch="*")
    assert found.value.response["Error"]["Code"] == "PreconditionFailed"
    with pytest.raises(RolloutError, match="is not the record that the journal has"):
        records.put(chain(1, who="eve").waiting[0])
    assert list(records.lines()) == [line]
    s3.put_object(Bucket=names.bucket, Key="packages/x", Body=b"x")
    s3.put_object(Bucket=names.bucket, Key="packages/x", Body=b"y")
    s3.delete_object(Bucket=names.bucket, Key="packages/x")


def test_without_its_policy_a_bucket_can_be_emptied_as_a_destroy_does(clients: Clients, names: Names, key: str) -> None:
    S3Records(clients, names.bucket, KmsSigner(clients, key)).put(chain(1).waiting[0])
    clients("s3").delete_bucket_policy(Bucket=names.bucket)
    clients("s3").delete_object(Bucket=names.bucket, Key="audit/0000000001.json")
    clients("s3").delete_bucket(Bucket=names.bucket)


def test_the_controllers_role_puts_records_and_may_do_no_more_with_them(
    clients: Clients, names: Names, key: str
) -> None:
    iam, role = clients("iam"), names.function("controller")
    anybody = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(anybody))["Role"]["Arn"]
    bucket_key = clients("kms").create_key()["KeyMetadata"]["Arn"]
    may = document(*policies.controller(names, bucket_key, key))
    iam.put_role_policy(RoleName=role, PolicyName=role, PolicyDocument=may)
    given = clients("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], "us-east-1")
    theirs = cache(partial(session.client, endpoint_url=clients("s3").meta.endpoint_url))
    records = S3Records(theirs, names.bucket, KmsSigner(theirs, key))
    records.put(chain(1).waiting[0])
    records.put(chain(1).waiting[0])
    with pytest.raises(ClientError, match="AccessDenied"):
        theirs("s3").delete_object(Bucket=names.bucket, Key="audit/0000000001.json")
    assert len(list(records.lines())) == 1
