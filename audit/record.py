"""One record: what happened, who did it, and the hash of the record before; and the same with its signature, as a line.

The canonical bytes of a record are JSON in ASCII with sorted keys and no spaces. Its digest is the sha256 of these, and
they are what is signed. A line is a JSON object of the record and its signature, in the same form.
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

from audit.signature import lowered


class RecordKind(StrEnum):
    """What a record tells."""

    RELEASE = "release"  # a release begins: on trial, or at once
    HOLD = "hold"  # a trial waits for a person
    APPROVAL = "approval"  # a person lets it go on
    DECISION = "decision"  # it is decided how a rollout ends, and not carried out yet
    VERDICT = "verdict"  # a rollout ended, and who serves stayed the same
    PROMOTION = "promotion"  # a release became champion
    RESTORE = "restore"  # a release of before is to serve again, or does: by a rollback, or as a person asked for it
    EXEMPTION = "exemption"  # a person let a release skip its trial
    CLEAR = "clear"  # a person let a rejected release be tried again
    INCIDENT = "incident"  # what is no verdict, and a person should know
    RETRAINING = "retraining"  # a new version was asked for, approved, trained, accepted or not


class Signer(Protocol):
    """Signs with a key that nobody sees."""

    def sign(self, message: bytes) -> bytes:
        """The signature over a message: ECDSA on P-256 with SHA-256, in DER form."""
        ...


@dataclass(frozen=True)
class Entry:
    """Something that is to be recorded.

    Attributes:
        at: When it happened, epoch seconds.
        kind: What it tells.
        what: The facts, as JSON values.
        id: Tells it from others of a source that may tell it twice; empty of one that never does.
    """

    at: float
    kind: RecordKind
    what: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True)
class AuditRecord:
    """What happened, in its place.

    Attributes:
        number: Its place, from 1.
        time: When it happened, in ISO 8601, UTC.
        endpoint: The endpoint that it is about; it bears the name of the stack.
        kind: What it tells.
        who: Whose credentials, or which function, made it happen.
        what: The facts, as JSON values.
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
        """What is hashed and signed."""
        return canonical(asdict(self))

    @property
    def digest(self) -> str:
        """sha256 of the canonical bytes, in hex."""
        return hashlib.sha256(self.canonical).hexdigest()

    @classmethod
    def from_dict(cls, value: Any) -> AuditRecord:
        """Read back what `dataclasses.asdict` wrote.

        Raises:
            ValueError: It has other fields, or one of another type.
        """
        found: Mapping[str, Any] = cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
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
    """A record with its signature.

    Attributes:
        record: The record.
        signature: Over the record's canonical bytes, by `Signer`, in the form that `lowered` gives it.
    """

    record: AuditRecord
    signature: bytes

    @classmethod
    def by(cls, signer: Signer, record: AuditRecord) -> Signed:
        """Sign a record."""
        return cls(record, lowered(signer.sign(record.canonical)))

    @property
    def line(self) -> str:
        """The record as it is kept and exported, without a line's end."""
        content = {"record": asdict(self.record), "signature": base64.b64encode(self.signature).decode()}
        return canonical(content).decode()

    @classmethod
    def from_line(cls, line: str) -> Signed:
        """Read back what `line` wrote.

        Raises:
            ValueError: It is another text: even a blank more makes it one.
        """
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
    """JSON content as bytes, one way only."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def plain(value: Any) -> Any:
    """A value as JSON has it: what JSON has no number for (`inf`, `nan`) is told by its name.

    So nothing that was decided can be unfit to be recorded.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast(list[Any], value)]
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def moment(at: float) -> str:
    """Epoch seconds as a record tells them."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
