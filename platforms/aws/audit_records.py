"""The audit record on AWS: an object a record, which nobody may overwrite or delete, signed with a key of KMS.

records = S3Records(clients, "flight-delay-prod-artifacts-000000000000", KmsSigner(clients, key_arn))
records.put(record)  # audit/0000000001.json, if there is none yet
list(records.lines())  # as they lie there, in order

Source: Amazon S3 User Guide, "Conditional writes"; AWS KMS API Reference, Sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from audit.record import Record, Signer
from platforms.aws.clients import Clients, calling
from platforms.aws.names import AUDIT
from platforms.s3.errors import code_of
from rollout.core.errors import Busy, RolloutError
from services.audit_records import put_signed

_DIGITS = 10  # S3 lists by name: so many digits keep the order of numbers
_AT_ONCE = 16
_TAKEN, _RACE = "PreconditionFailed", "ConditionalRequestConflict"


@dataclass(frozen=True)
class S3Records:
    """`Records` in a bucket, under `audit/`.

    Attributes:
        clients: Gives clients.
        bucket: The bucket.
        signer: Signs each record; None where records are only read.
    """

    clients: Clients
    bucket: str
    signer: Signer | None = None

    def put(self, record: Record) -> None:
        """Sign a record and put it, unless it is there; raises as `services.audit_records.put_signed`, and these.

        Raises:
            Busy: Another writer puts it just now, or a service is throttled.
            Unreachable: S3 or KMS does not answer.
        """
        key = _key(record.number)
        with calling(f"sign audit record {record.number}"):
            put_signed(record, self.signer, partial(self._put_new, key), f"s3://{self.bucket}/{key}")

    def _put_new(self, key: str, line: str) -> str:
        new = {"ContentType": "application/json", "IfNoneMatch": "*"}
        try:
            with calling(f"put s3://{self.bucket}/{key}"):
                self.clients("s3").put_object(Bucket=self.bucket, Key=key, Body=line.encode(), **new)
        except RolloutError as error:
            code = code_of(error.__cause__)
            if code == _RACE:
                raise Busy(f"{key}: another writer puts it just now") from error
            if code != _TAKEN:
                raise
            return self._line(key)
        return line

    def lines(self) -> Iterator[str]:
        """Every record as it lies there, in the order of their names; raises as `put`."""
        with calling(f"list s3://{self.bucket}/{AUDIT}/"):
            paginator = self.clients("s3").get_paginator("list_objects_v2")
            pages = paginator.paginate(Bucket=self.bucket, Prefix=f"{AUDIT}/")
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(self._line, keys)

    def _line(self, key: str) -> str:
        with calling(f"read s3://{self.bucket}/{key}"):
            body = self.clients("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body.decode("utf-8", "replace")


def _key(number: int) -> str:
    return f"{AUDIT}/{number:0{_DIGITS}}.json"
