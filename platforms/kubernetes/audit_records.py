"""The audit record in a cluster: a row a record in PostgreSQL, which nobody may overwrite or delete, signed.

records = PostgresRecords(database, "flight-delay-prod", partial(uid, api, "flight-delay-prod"), signer)
records.put(record)  # row 1, if there is none yet
list(records.lines())  # as they lie there, in order

An endpoint that was destroyed and is made anew has another Rollout, whose record begins at 1 again. So the uid of the
Rollout is part of the key. What was recorded before stays.

A trigger refuses changes whoever asks; the controller's role has no right to any (`platforms.kubernetes.schema`). Who
owns the database can take both away: what they change after that, `modelstack audit verify` finds by the hashes and the
signatures, and the journal tells how many records there have to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from audit.record import AuditRecord, Signer
from platforms.kubernetes.api import Api
from platforms.kubernetes.database import Database
from platforms.kubernetes.kinds import ROLLOUT
from services.audit_records import put_signed

FIRST = -(2**63)
"""Before every number that a record can have in the database."""
_TOGETHER = 500


def uid(api: Api, name: str) -> str:
    """That of the Rollout of this name.

    Raises:
        RolloutError: There is none, or the API server does not answer.
    """
    return str(api.get(ROLLOUT, name)["metadata"]["uid"])


@dataclass(frozen=True)
class PostgresRecords:
    """`Records` of one endpoint.

    Attributes:
        database: The database.
        endpoint: The endpoint.
        rollout: Tells the uid of its Rollout; it is asked each time.
        signer: Signs each record; None where records are only read.
    """

    database: Database
    endpoint: str
    rollout: Callable[[], str]
    signer: Signer | None = None

    def put(self, record: AuditRecord) -> None:
        """Sign a record and put it, unless it is there; raises as `services.audit_records.put_signed`, and these.

        Raises:
            Busy: Others are in the way.
            Unreachable: The database or the key does not answer.
        """
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
        """Every record as it lies there, in the order of their numbers; raises as `put`."""
        after: int | None = FIRST
        while after is not None:
            found, after = self.page(after)
            yield from found

    def page(self, after: int) -> tuple[list[str], int | None]:
        """Some records as they lie there, those with the next greater numbers; raises as `lines`.

        Args:
            after: The number that they come after; `FIRST` begins.

        Returns:
            The lines, and the number of the last one; None when there are no more.
        """
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
