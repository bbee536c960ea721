"""How an audit record is stored on every platform: signed, under its number, never over another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from modelstack.records.audit.record import AuditRecord, Signed, Signer
from modelstack.rollout.core.errors import Conflict, RolloutError
from modelstack.services.ports import Blobs, names

_DIGITS = 10  # blobs are listed by name: so many digits keep the order of numbers
_AT_ONCE = 16


@dataclass(frozen=True)
class BlobRecords:
    """`Records` above blobs, one for each record; `place` begins their addresses, `signer` is None to read alone."""

    blobs: Blobs
    place: str
    folder: str = "audit"
    signer: Signer | None = None

    def put(self, record: AuditRecord) -> None:
        """Sign and store a record once, see `put_signed`; `Busy` if another writer is storing it."""
        name = f"{self.folder}/{record.number:0{_DIGITS}}.json"
        put_signed(record, self.signer, partial(self._put_new, name), f"{self.place}/{name}")

    def _put_new(self, name: str, line: str) -> str:
        try:
            self.blobs.put_new(name, line.encode())
        except Conflict:
            return self._line(name)
        return line

    def lines(self) -> Iterator[str]:
        """Every stored record, in the order of their names."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(self._line, names(self.blobs, f"{self.folder}/"))

    def _line(self, name: str) -> str:
        return b"".join(self.blobs.get(name)).decode("utf-8", "replace")


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
