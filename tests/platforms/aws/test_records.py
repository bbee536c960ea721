"""The audit record in a bucket, on moto's S3 and KMS."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from audit.record import Kind, Record
from platforms.aws.audit_records import S3Records
from platforms.aws.clients import Clients
from platforms.aws.kms_signer import KmsSigner
from rollout.core.errors import Busy, RolloutError, Unreachable
from tests.audit.made import ENDPOINT, Key, chain
from tests.platforms.aws.mocked import mocked_aws

BUCKET = "artifacts"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    with mocked_aws(monkeypatch) as make:
        make("s3").create_bucket(Bucket=BUCKET)
        yield make


KEY = Key()


@pytest.fixture
def records(aws: Clients) -> S3Records:
    return S3Records(aws, BUCKET, KEY)


def test_records_lie_by_their_numbers_and_are_read_in_their_order(aws: Clients, records: S3Records) -> None:
    made = chain(12)
    for record in made.waiting:
        records.put(record)
    names = [item["Key"] for item in aws("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert names == [f"audit/{number:010}.json" for number in range(1, 13)]


def test_kms_signs_the_digest_as_a_message_may_be_longer_than_it_takes() -> None:
    """moto takes a digest for a message, so that what comes of it is shown on the local cloud."""
    kms = Mock()
    kms.sign.return_value = {"Signature": b"signed"}
    assert KmsSigner(lambda _: kms, "arn:key").sign(b"x" * 10_000) == b"signed"
    digest = hashlib.sha256(b"x" * 10_000).digest()
    kms.sign.assert_called_once_with(
        KeyId="arn:key", Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
    )


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("ConditionalRequestConflict", 409, Busy),
        ("SlowDown", 503, Busy),
        ("InternalError", 500, Unreachable),
        ("AccessDenied", 403, RolloutError),
    ],
)
def test_what_s3_answers_is_told_as_what_it_means(code: str, status: int, raised: type[Exception]) -> None:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    s3 = Mock()
    s3.put_object.side_effect = ClientError(answer, "PutObject")
    signer = Mock()
    signer.sign.return_value = b"x"
    with pytest.raises(raised) as found:
        S3Records(lambda _: s3, BUCKET, signer).put(Record(1, "", ENDPOINT, Kind.CLEAR, "ada"))
    assert type(found.value) is raised
