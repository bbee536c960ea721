"""The audit record on AWS: one object a record, never overwritten or deleted, signed with a KMS key."""

from __future__ import annotations

from modelstack.platforms.aws.blobs import S3Blobs
from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.aws.names import AUDIT
from modelstack.records.audit.record import AuditRecord, Signer
from modelstack.services.audit_records import BlobRecords


class S3Records(BlobRecords):
    """`Records` in a bucket, under `audit/`."""

    @classmethod
    def of(cls, clients: Clients, bucket: str, signer: Signer | None = None) -> S3Records:
        """Those of a stack; without a signer they are only read."""
        return cls(S3Blobs(clients, bucket), f"s3://{bucket}", AUDIT, signer)

    def put(self, record: AuditRecord) -> None:
        with calling(f"sign audit record {record.number}"):
            super().put(record)
