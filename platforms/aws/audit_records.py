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

from audit.record import Record, Signed, Signer
from platforms.aws.clients import Clients, calling
from platforms.aws.names import AUDIT
from platforms.s3.errors import code_of
from rollout.core.errors import Busy, RolloutError

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
        """Sign a record and put it, unless it is there.

        Raises:
            Busy: Another writer puts it just now, or a service is throttled.
            Unreachable: S3 or KMS does not answer.
            RolloutError: Another record is there under this number, or the policies do not allow it.
        """
        if self.signer is None:
            raise RolloutError(f"audit record {record.number}: there is no key to sign it with")
        with calling(f"sign audit record {record.number}"):
            line = Signed.by(self.signer, record).line
        key = _key(record.number)
        try:
            with calling(f"put s3://{self.bucket}/{key}"):
                self.clients("s3").put_object(
                    Bucket=self.bucket, Key=key, Body=line.encode(), ContentType="application/json", IfNoneMatch="*"
                )
        except RolloutError as error:
            code = code_of(error.__cause__)
            if code == _RACE:
                raise Busy(f"{key}: another writer puts it just now") from error
            if code != _TAKEN:
                raise
            self._compare(record, key)

    def _compare(self, record: Record, key: str) -> None:
        """See that what was there is this record: another signature of it is as good."""
        try:
            there = Signed.from_line(self._line(key)).record
        except (ValueError, KeyError, TypeError) as error:
            raise RolloutError(f"s3://{self.bucket}/{key} is no audit record: {error}") from error
        if there != record:
            raise RolloutError(
                f"s3://{self.bucket}/{key} is not the record that the journal has under this number: somebody else put "
                "it there, and `modelstack audit verify` names it"
            )

    def lines(self) -> Iterator[str]:
        """Every record as it lies there, in the order of their names.

        Raises:
            RolloutError: S3 does not answer, or may not be asked.
        """
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
