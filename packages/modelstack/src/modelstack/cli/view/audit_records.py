"""The audit record: read from where the platform stores it, verified and displayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from rich.table import Table

from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.cli.view.releases import journal_state
from modelstack.cli.view.times import when
from modelstack.records.audit.chain import Chain
from modelstack.records.audit.record import AuditRecord, RecordKind, Signed
from modelstack.records.audit.verification import Check, RecordFault, Verified
from modelstack.records.audit.verification import verify as walk
from modelstack.records.reason import reason_text
from modelstack.rollout.core.errors import Conflict

_LOOKS = 5
_PROBLEMS: Mapping[RecordFault, str] = {
    RecordFault.UNREADABLE: "cannot be read",
    RecordFault.CHANGED: "was changed after it had been signed",
    RecordFault.MISSING: "is missing",
    RecordFault.REORDERED: "is not in its place",
    RecordFault.FOREIGN: "is about another endpoint",
    RecordFault.OTHER_KEY: "was signed by another key",
    RecordFault.UNLINKED: "is signed, and does not follow the record before it, or is not the last one written",
    RecordFault.UNEXPECTED: "is unknown to the journal",
}


def kept(target: Target) -> list[str]:
    """Every stored record as its signed line, oldest first. Raises OperatorError when it cannot be read."""
    return platform_of(target).records()


def proven(target: Target) -> list[AuditRecord]:
    """Every record, oldest first, including those not stored yet; OperatorError if any was changed."""
    seen, lines, end = _read(target, _public_key(target, None))
    if seen.finding is not None:
        raise OperatorError(
            f"what the audit record of {target.endpoint} tells is not to be believed: {told(seen)}",
            f"`{target.commands.modelstack} audit verify` shows it; docs/how-to/audit.md tells what to do.",
        )
    found = [Signed.from_line(line).record for line in lines]
    last = found[-1].number if found else 0
    return [*found, *(record for record in end.waiting if record.number > last)]


def verify(target: Target, key: Path | None = None) -> Verified:
    """Verify the stored record against the journal and a public key: a file, or the platform's when None."""
    return _read(target, _public_key(target, key))[0]


def _read(target: Target, key: bytes) -> tuple[Verified, list[str], Chain]:
    """The stored lines and the end of the journal, and what verifying exactly these has found."""
    check = checking(key)
    for _ in range(_LOOKS):
        end = journal_state(target).audit
        lines = kept(target)
        if journal_state(target).audit.number == end.number:
            return walk(lines, target.endpoint, check, end), lines, end
    with explained(f"reading the audit record of {target.endpoint}"):
        raise Conflict("it grows while it is read: try again in a moment")


def checking(key: bytes) -> Check:
    """A check of signatures by a public P-256 key, in PEM or DER form. Raises ValueError for any other key."""
    try:
        public = load_pem_public_key(key) if key.startswith(b"-----") else load_der_public_key(key)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise ValueError(f"it is a {type(public).__name__}")

    def check(message: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    return check


def _public_key(target: Target, file: Path | None) -> bytes:
    if file is None:
        return platform_of(target).records_key()
    key = file.read_bytes()
    try:
        checking(key)
    except ValueError as error:
        expected = "expected a public key on P-256, in PEM or DER form"
        raise OperatorError(f"--key {file}: {expected}: {error}", None, 2) from error
    return key


def told(seen: Verified) -> str:
    """The result of a verification in a sentence."""
    finding = seen.finding
    if finding is not None:
        said = f": {finding.said}" if finding.said else ""
        return f"record {finding.number} {_PROBLEMS[finding.problem]}{said}; {seen.records} before it are in order"
    if not seen.records:
        return "no record yet"
    waiting = f"; {seen.waiting} not signed and put away yet" if seen.waiting else ""
    return f"{seen.records} records are in order; the last one is sha256 {seen.digest}{waiting}"


def as_dict(seen: Verified) -> dict[str, Any]:
    """The same as JSON values."""
    finding = {**vars(seen.finding)} if seen.finding else None
    return {"ok": finding is None, **vars(seen), "finding": finding, "text": told(seen)}


def table(lines: Sequence[str], end: Chain) -> Table:
    """The stored lines and the waiting records as a table; an unreadable line gets a row that says why."""
    rows = Table(box=None, pad_edge=False)
    for name in ("no.", "time", "kind", "release", "who", "why"):
        rows.add_column(name, overflow="fold")
    numbers = set[int]()
    for line in lines:
        try:
            record = Signed.from_line(line).record
        except (ValueError, KeyError, TypeError) as error:
            rows.add_row("?", "", "", "", "", f"cannot be read: {error}")
            continue
        numbers.add(record.number)
        rows.add_row(*_cells(record))
    for record in end.waiting:
        if record.number not in numbers:
            rows.add_row(*_cells(record))
    return rows


def _cells(record: AuditRecord) -> tuple[str, ...]:
    what = record.what
    told = f"{_turns(record)}{reason_text(what)}"
    return (str(record.number), when(record.time), record.kind, str(what.get("release", "")), record.who, told)


def _turns(record: AuditRecord) -> str:
    """Which stage of a restore it is; empty for the request for its release, and for other kinds."""
    event = record.what.get("event")
    if event == "restore_lifted":
        return "lifted, it counts no more: "
    if record.kind is RecordKind.RESTORE and event == "rolled_back":
        return f"taken back, {record.what.get('champion')} serves again: "
    return ""
