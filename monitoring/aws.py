"""Captures, labels and packages in S3, what was counted in DynamoDB, and drift in CloudWatch."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
import zlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

from botocore.exceptions import ClientError  # pyright: ignore[reportMissingTypeStubs] - AWS ships none

from monitoring.quality import Form
from monitoring.record import Datum, Reading
from monitoring.reference import Reference
from monitoring.transient import gone
from rollout import Release
from rollout.sagemaker import Clients

FORM = "code/model/answer.json"
"""Where an archive has the form of its predictions."""
REJECTED = "capture-rejected"
"""Where what could not be read of captured files is kept."""
_CHUNK = 1 << 20
_DATA = 500  # values in one PutMetricData, of at most 1,000


class DigestMismatch(Exception):
    """An archive's bytes are not those that were registered: nothing in it is read."""


@dataclass(frozen=True)
class S3Captures:
    """`Captures` in a bucket, under `capture/<endpoint>/<variant>/yyyy/mm/dd/hh/`.

    Attributes:
        clients: Gives clients.
        bucket: The bucket.
        endpoint: The endpoint.
        before: Files younger than this are left for the next call, epoch seconds: files of several instances arrive
            not quite in the order of their keys.
        most: How many files one call reads.
    """

    clients: Clients
    bucket: str
    endpoint: str
    before: float
    most: int = 200

    def keys(self, variant: str, after: str) -> Sequence[str]:
        """The next files, oldest first."""
        prefix = f"capture/{self.endpoint}/{variant}/"
        answer = self.clients("s3").list_objects_v2(
            Bucket=self.bucket, Prefix=prefix, StartAfter=after or prefix, MaxKeys=self.most
        )
        found: list[str] = []
        for item in answer.get("Contents", []):
            if item["LastModified"].timestamp() > self.before:
                break
            found.append(item["Key"])
        return found

    def lines(self, key: str) -> Iterable[bytes]:
        """The lines of one file, as they arrive.

        Raises:
            FileNotFoundError: It has gone since it was listed.
        """
        try:
            return self.clients("s3").get_object(Bucket=self.bucket, Key=key)["Body"].iter_lines()
        except ClientError as error:
            if gone(error):
                raise FileNotFoundError(key) from error
            raise

    def keep(self, key: str, lines: Sequence[str]) -> None:
        """Write what could not be read of a file under `capture-rejected/`, at the same place."""
        content = "".join(f"{line}\n" for line in lines).encode()
        kept = f"{REJECTED}/{key.partition('/')[2]}"
        self.clients("s3").put_object(Bucket=self.bucket, Key=kept, Body=content)


@dataclass(frozen=True)
class DynamoRecord:
    """`Record` in the journal's table, in items of their own beside the endpoint's.

    A variant's takes some hundred bytes a feature, compressed, of the 400 kB that an item may have.
    """

    clients: Clients
    table: str
    endpoint: str

    def read(self, variant: str) -> Reading:
        """The reading, by a consistent read."""
        answer = self.clients("dynamodb").get_item(TableName=self.table, Key=self._key(variant), ConsistentRead=True)
        if "Item" not in answer:
            return Reading()
        body = json.loads(zlib.decompress(answer["Item"]["reading"]["B"]))
        unsent = tuple(Datum(**item) for item in body["unsent"])
        return Reading(int(answer["Item"]["revision"]["N"]), body["after"], body["state"], unsent)

    def write(self, variant: str, reading: Reading) -> Reading | None:
        """Put the successor of the revision that was read."""
        after = replace(reading, revision=reading.revision + 1)
        body = {"after": after.after, "state": after.state, "unsent": [asdict(item) for item in after.unsent]}
        item = {
            **self._key(variant),
            "revision": {"N": str(after.revision)},
            "reading": {"B": zlib.compress(json.dumps(body).encode())},
        }
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(endpoint)"}
        if reading.revision:
            seen = {":seen": {"N": str(reading.revision)}}
            condition = {"ConditionExpression": "revision = :seen", "ExpressionAttributeValues": seen}
        try:
            self.clients("dynamodb").put_item(TableName=self.table, Item=item, **condition)
        except ClientError as error:
            if cast(Any, error).response["Error"]["Code"] == "ConditionalCheckFailedException":
                return None
            raise
        return after

    def _key(self, variant: str) -> dict[str, Any]:
        return {"endpoint": {"S": f"{self.endpoint}#drift#{variant}"}}


@dataclass(frozen=True)
class CloudWatchMetrics:
    """`Metrics` in the namespace `modelstack`, by EndpointName, VariantName and, where it is about one, Feature."""

    clients: Clients
    endpoint: str

    def put(self, data: Sequence[Datum]) -> None:
        """Send values, each with its own time."""
        for start in range(0, len(data), _DATA):
            values = [self._value(item) for item in data[start : start + _DATA]]
            self.clients("cloudwatch").put_metric_data(Namespace="modelstack", MetricData=values)

    def _value(self, item: Datum) -> Mapping[str, Any]:
        names = {"EndpointName": self.endpoint, "VariantName": item.variant}
        if item.feature is not None:
            names["Feature"] = item.feature
        return {
            "MetricName": item.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in names.items()],
            "Timestamp": datetime.fromtimestamp(item.at, UTC),
            "Value": float(item.value),
            "Unit": item.unit,
        }


@dataclass
class References:
    """The reference of each release, out of its own archive: its bytes are checked before anything in it is read."""

    clients: Clients

    def __post_init__(self) -> None:
        self._known: dict[str, Reference] = {}

    def of(self, release: Release) -> Reference:
        """What the release was trained on.

        Raises:
            DigestMismatch: The archive is not the one that was registered.
            UnreadableProfile: Its `reference.json` is missing or has another form.
        """
        if release.package_digest not in self._known:
            self._known[release.package_digest] = self._fetch(release)
        return self._known[release.package_digest]

    def _fetch(self, release: Release) -> Reference:
        found = sealed(self.clients, release, "reference.json")
        return Reference.from_dict(json.loads(found) if found else None)


@dataclass
class Forms:
    """The form of each release's predictions, out of its own archive."""

    clients: Clients

    def __post_init__(self) -> None:
        self._known: dict[str, Form | None] = {}

    def of(self, release: Release) -> Form | None:
        """What the fields of the release's predictions mean; None when it does not say.

        Raises:
            DigestMismatch: The archive is not the one that was registered.
            UnreadableForm: Its `model/answer.json` has another form.
        """
        if release.package_digest not in self._known:
            found = sealed(self.clients, release, FORM)
            self._known[release.package_digest] = Form.from_dict(json.loads(found)) if found else None
        return self._known[release.package_digest]


def sealed(clients: Clients, release: Release, name: str) -> bytes | None:
    """One file of a release's archive; None when there is none of that name.

    Raises:
        DigestMismatch: The archive is not the one that was registered: nothing in it is read.
    """
    place = urlsplit(release.archive_uri)
    body = clients("s3").get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"]
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        while chunk := body.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        if f"sha256:{digest.hexdigest()}" != release.package_digest:
            raise DigestMismatch(
                f"{release.archive_uri}: got sha256:{digest.hexdigest()}, expected {release.package_digest}; "
                "nothing in it was read"
            )
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            try:
                member = archive.extractfile(name)
            except KeyError:
                member = None
            return member.read() if member else None


@dataclass(frozen=True)
class S3Files:
    """Files of a bucket, line by line, and the rejected labels that are kept in it under `labels-rejected/`."""

    clients: Clients
    bucket: str

    @contextmanager
    def lines(self, key: str) -> Generator[tuple[str, Iterable[bytes]]]:
        """The sha256 of a file, and its lines."""
        body = self.clients("s3").get_object(Bucket=self.bucket, Key=key)["Body"]
        digest = hashlib.sha256()
        with tempfile.TemporaryFile() as file:
            while chunk := body.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            file.seek(0)
            yield digest.hexdigest(), file

    def keep(self, name: str, lines: Sequence[str]) -> None:
        """Write a file of rejected labels."""
        content = "".join(f"{line}\n" for line in lines).encode()
        self.clients("s3").put_object(Bucket=self.bucket, Key=f"labels-rejected/{name}.jsonl", Body=content)
