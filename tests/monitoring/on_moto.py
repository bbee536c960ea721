"""What functions find in AWS, on moto: their environment, tables and sealed packages."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from moto import mock_aws

BUCKET = "artifacts"


@contextmanager
def on_moto(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[None]:
    """A function's environment, in which all of AWS is moto's."""
    known = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**known, "JOURNAL_TABLE": "rollouts", "ARTIFACT_BUCKET": BUCKET, **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def put_package(s3: Any, name: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """Put an archive of files into the bucket, under a name; what a release says of it."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    sealed, key = gzip.compress(plain.getvalue(), mtime=0), f"packages/{name}/model.tar.gz"
    s3.put_object(Bucket=BUCKET, Key=key, Body=sealed)
    digest = hashlib.sha256(sealed).hexdigest()
    return {"package_digest": f"sha256:{digest}", "archive_uri": f"s3://{BUCKET}/{key}"}


def make_journal(dynamodb: Any, name: str = "rollouts") -> None:
    _make(dynamodb, name, {"endpoint": "S"})


def make_labels(dynamodb: Any, name: str = "labels") -> None:
    keys = [{"AttributeName": "waiting", "KeyType": "HASH"}, {"AttributeName": "since", "KeyType": "RANGE"}]
    index = {"IndexName": "waiting", "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}
    _make(dynamodb, name, {"id": "S", "waiting": "S", "since": "N"}, GlobalSecondaryIndexes=[index])


def _make(dynamodb: Any, name: str, attributes: dict[str, str], **more: Any) -> None:
    """A table whose key is the first of its attributes."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": next(iter(attributes)), "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in attributes.items()],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )
