"""The audit log in a cluster: signed, append-only rows in PostgreSQL.

The key contains the uid of the Rollout: an endpoint that is destroyed and created again begins a new log at 1.

A trigger refuses changes by anyone, and the controller's role has no right to any. The database's owner can remove
both: `modelstack audit verify` then detects changes by the hashes and signatures, and the journal has their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.kinds import ROLLOUT
from modelstack.records.audit.record import AuditRecord, Signer
from modelstack.services.audit_records import put_signed

FIRST = -(2**63)  # less than the number of any record
_TOGETHER = 500


def uid(api: Api, name: str) -> str:
    """The uid of the Rollout of this name."""
    return str(api.get(ROLLOUT, name)["metadata"]["uid"])


@dataclass(frozen=True)
class PostgresRecords:
    """`Records` of one endpoint. `rollout` returns the uid of its Rollout; `signer` is None for a reader."""

    database: Database
    endpoint: str
    rollout: Callable[[], str]
    signer: Signer | None = None

    def put(self, record: AuditRecord) -> None:
        """Sign and insert a record unless it exists; raises as `modelstack.services.audit_records.put_signed`."""
        place = f"audit record {record.number} of {self.endpoint} in {self.database.place}"
        put_signed(record, self.signer, partial(self._put_new, record.number), place)

    def _put_new(self, number: int, line: str) -> str:
        row = {"endpoint": self.endpoint, "rollout": self.rollout(), "number": number}
        new = self.database.run(
            f"put audit record {number}",
            "INSERT INTO audit (endpoint, rollout, number, line) VALUES (:endpoint, :rollout, :number, :line) "
            "ON CONFLICT DO NOTHING RETURNING line",
            **row,
            line=line,
        )
        found = new or self.database.run(
            f"read audit record {number}",
            "SELECT line FROM audit WHERE endpoint = :endpoint AND rollout = :rollout AND number = :number",
            **row,
        )
        return found[0][0]

    def lines(self) -> Iterator[str]:
        """Every record as stored, by number; raises as `put`."""
        after: int | None = FIRST
        while after is not None:
            found, after = self.page(after)
            yield from found

    def page(self, after: int) -> tuple[list[str], int | None]:
        """Stored records numbered after `after` (first: `FIRST`), and the last of their numbers; None at the end."""
        found = self.database.run(
            f"read the audit record of {self.endpoint}",
            "SELECT number, line FROM audit WHERE endpoint = :endpoint AND rollout = :rollout AND number > :after "
            "ORDER BY number LIMIT :most",
            endpoint=self.endpoint,
            rollout=self.rollout(),
            after=after,
            most=_TOGETHER,
        )
        return [line for _, line in found], found[-1][0] if len(found) == _TOGETHER else None
