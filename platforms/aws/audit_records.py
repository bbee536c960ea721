"""The audit record on AWS: an object a record, which nobody may overwrite or delete, signed with a key of KMS.

records = S3Records(clients, "flight-delay-prod-artifacts-000000000000", KmsSigner(clients, key_arn))
records.put(record)  # audit/0000000001.json, if there is none yet
list(records.lines())  # as they lie there, in order

Source: AWS KMS API Reference, Sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from audit.record import AuditRecord, Signer
from platforms.aws.blobs import S3Blobs
from platforms.aws.clients import Clients, calling
from platforms.aws.names import AUDIT
from rollout.core.errors import Conflict
from services.audit_records import put_signed
from services.ports import names

_DIGITS = 10  # S3 lists by name: so many digits keep the order of numbers
_AT_ONCE = 16


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

    def put(self, record: AuditRecord) -> None:
        """Sign a record and put it, unless it is there; raises as `services.audit_records.put_signed`, and these.

        Raises:
            Busy: Another writer puts it just now, or a service is throttled.
            Unreachable: S3 or KMS does not answer.
        """
        key = _key(record.number)
        with calling(f"sign audit record {record.number}"):
            put_signed(record, self.signer, partial(self._put_new, key), f"s3://{self.bucket}/{key}")

    def _put_new(self, key: str, line: str) -> str:
        try:
            self._blobs.put_new(key, line.encode())
        except Conflict:
            return self._line(key)
        return line

    def lines(self) -> Iterator[str]:
        """Every record as it is stored, in the order of their names; raises as `put`."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(self._line, names(self._blobs, f"{AUDIT}/"))

    def _line(self, key: str) -> str:
        return b"".join(self._blobs.get(key)).decode("utf-8", "replace")

    @property
    def _blobs(self) -> S3Blobs:
        return S3Blobs(self.clients, self.bucket)


def _key(number: int) -> str:
    return f"{AUDIT}/{number:0{_DIGITS}}.json"
