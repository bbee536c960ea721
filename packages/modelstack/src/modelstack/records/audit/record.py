"""An audit record, linked to the one before by its hash, and the line that stores it with its signature.

Both are ASCII JSON with sorted keys and no spaces; a record's digest and signature are over these bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol, cast

from modelstack.forms import check
from modelstack.records.audit.signature import lowered


class RecordKind(StrEnum):
    """The kind of an audit record."""

    RELEASE = "release"  # a release begins: on trial, or at once
    HOLD = "hold"  # a trial waits for a person
    APPROVAL = "approval"  # a person lets it continue
    DECISION = "decision"  # the end of a rollout is decided, and not carried out yet
    VERDICT = "verdict"  # a rollout ended, and the champion stayed
    PROMOTION = "promotion"  # a release became champion
    RESTORE = "restore"  # an earlier release serves again, or a person requests that
    EXEMPTION = "exemption"  # a person let a release skip its trial
    CLEAR = "clear"  # a person let a rejected release be tried again
    INCIDENT = "incident"  # no verdict, but a person should know
    RETRAINING = "retraining"  # a new version was requested, approved, trained, accepted or not


class Signer(Protocol):
    """Signs with a key that stays secret."""

    def sign(self, message: bytes) -> bytes:
        """The signature over a message: ECDSA on P-256 with SHA-256, in DER form."""


@dataclass(frozen=True)
class Entry:
    """Content of a future record, with an `id` if its source may report it twice; `at` is in epoch seconds."""

    at: float
    kind: RecordKind
    what: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True)
class AuditRecord:
    """One record of the chain.

    Attributes:
        number: Its position, from 1.
        time: ISO 8601, UTC.
        who: The credentials, or the function, that caused it.
        before: The digest of the record before; empty in the first.
    """

    number: int
    time: str
    endpoint: str
    kind: RecordKind
    who: str
    what: Mapping[str, Any] = field(default_factory=dict[str, Any])
    before: str = ""

    @property
    def canonical(self) -> bytes:
        """The bytes that are hashed and signed."""
        return canonical(asdict(self))

    @property
    def digest(self) -> str:
        """sha256 of the canonical bytes, in hex."""
        return hashlib.sha256(self.canonical).hexdigest()

    @classmethod
    def from_dict(cls, value: Any) -> AuditRecord:
        """Read back what `dataclasses.asdict` wrote; ValueError if it has other fields or types."""
        found: Mapping[str, Any] = cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
        check("audit record", found.get("version", 1), ValueError)
        if found.keys() != {one.name for one in fields(cls)}:
            names = ", ".join(one.name for one in fields(cls))
            raise ValueError(f"record: got the fields {', '.join(found) or 'none'}, expected {names}")
        for name in ("time", "endpoint", "kind", "who", "before"):
            if not isinstance(found[name], str):
                raise ValueError(f"record.{name}: got {found[name]!r}, expected a string")
        if type(found["number"]) is not int or not isinstance(found["what"], dict):
            raise ValueError("record: expected a whole `number` and an object `what`")
        return cls(**{**found, "kind": cast(Any, RecordKind(found["kind"]))})


@dataclass(frozen=True)
class Signed:
    """A record with its signature, in the form of `lowered`."""

    record: AuditRecord
    signature: bytes

    @classmethod
    def by(cls, signer: Signer, record: AuditRecord) -> Signed:
        """Sign a record."""
        return cls(record, lowered(signer.sign(record.canonical)))

    @property
    def line(self) -> str:
        """The record as it is stored and exported, without a newline."""
        content = {"record": asdict(self.record), "signature": base64.b64encode(self.signature).decode()}
        return canonical(content).decode()

    @classmethod
    def from_line(cls, line: str) -> Signed:
        """Read back what `line` wrote; ValueError if it differs, even by one space."""
        try:
            content: Any = json.loads(line)
        except RecursionError:
            raise ValueError("line: it is nested too deeply") from None
        if not isinstance(content, dict) or content.keys() != {"record", "signature"}:
            raise ValueError("line: expected an object with `record` and `signature`")
        signature = base64.b64decode(cast(Mapping[str, Any], content)["signature"], validate=True)
        found = cls(AuditRecord.from_dict(content["record"]), signature)
        if found.line != line:
            raise ValueError("line: it is not in canonical form")
        if signature != lowered(signature):
            raise ValueError("signature: it is the twin of the one that was kept, which anybody can make")
        return found


def canonical(content: Mapping[str, Any]) -> bytes:
    """JSON content as bytes, in exactly one way."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def plain(value: Any) -> Any:
    """A value as JSON; `inf` and `nan` become text, so that every decision can be recorded."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast(list[Any], value)]
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def moment(at: float) -> str:
    """Epoch seconds as in a record: ISO 8601 with milliseconds, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
