"""How an audit record is stored on every platform: signed, under its number, never over another one."""

from __future__ import annotations

from collections.abc import Callable

from audit.record import AuditRecord, Signed, Signer
from rollout.core.errors import RolloutError


def put_signed(record: AuditRecord, signer: Signer | None, put_new: Callable[[str], str], place: str) -> None:
    """Sign a record and store it at `place`, unless it exists; any valid signature of the same record will do.

    `put_new` stores a line under the record's number unless one exists, and returns the stored line. Raises
    `RolloutError` without a key, or if another record has this number.
    """
    if signer is None:
        raise RolloutError(f"audit record {record.number}: there is no key to sign it with")
    line = Signed.by(signer, record).line
    stored = put_new(line)
    try:
        there = record if stored == line else Signed.from_line(stored).record
    except (ValueError, KeyError, TypeError) as error:
        raise RolloutError(f"{place} is no audit record: {error}") from error
    if there != record:
        raise RolloutError(
            f"{place} is not the record that the journal has under this number: somebody else put it there, and "
            "`modelstack audit verify` names it"
        )
