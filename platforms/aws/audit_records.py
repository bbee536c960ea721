"""The audit record on AWS: one object a record, never overwritten or deleted, signed with a KMS key."""

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
    """`Records` in a bucket, under `audit/`; `signer` is None if records are only read."""

    clients: Clients
    bucket: str
    signer: Signer | None = None

    def put(self, record: AuditRecord) -> None:
        """Sign and store a record once, see `put_signed`; `Busy` if another writer is storing it."""
        key = f"{AUDIT}/{record.number:0{_DIGITS}}.json"
        with calling(f"sign audit record {record.number}"):
            put_signed(record, self.signer, partial(self._put_new, key), f"s3://{self.bucket}/{key}")

    def _put_new(self, key: str, line: str) -> str:
        try:
            self._blobs.put_new(key, line.encode())
        except Conflict:
            return self._line(key)
        return line

    def lines(self) -> Iterator[str]:
        """Every stored record, in the order of their names."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(self._line, names(self._blobs, f"{AUDIT}/"))

    def _line(self, key: str) -> str:
        return b"".join(self._blobs.get(key)).decode("utf-8", "replace")

    @property
    def _blobs(self) -> S3Blobs:
        return S3Blobs(self.clients, self.bucket)
