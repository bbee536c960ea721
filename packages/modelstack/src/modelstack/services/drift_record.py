"""The record of drift, above documents.

| document                          | what it holds                                                                   |
|-----------------------------------|---------------------------------------------------------------------------------|
| `drift#<variant>`                 | the reading of a variant                                                        |
| `drift-begun#<variant>`           | how many calls began to read files since the last write                         |
| `drift-unsent#<variant>#<number>` | metrics that a revision still has to send, in a queue of this variant           |
| `counted#<key>`                   | nothing: the file of this key was counted                                       |
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from modelstack.forms import check
from modelstack.monitoring.drift.record import Reading
from modelstack.monitoring.measurements import Datum
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.stored import read
from modelstack.services.documents import Stored
from modelstack.services.ports import Document, Documents


@dataclass
class DriftRecord:
    """`modelstack.monitoring.drift.record.Record` above documents; `marks` if files may be listed after later ones."""

    documents: Documents
    marks: bool = True
    _stored: Stored = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._stored = Stored(self.documents)

    def read(self, variant: str) -> Reading:
        """The reading of a variant, or an empty one."""
        self._stored.read([reading_key(variant)])
        document = self._stored[reading_key(variant)]
        check("drift record", document.body.get("version", 1), RolloutError)
        return Reading(document.revision, document.body.get("after", ""), document.body.get("state"))

    def counted(self, keys: Collection[str]) -> set[str]:
        """The files among `keys` that were counted."""
        found = self.documents.get([_mark(key) for key in keys])
        return {key for key in keys if found[_mark(key)].revision}

    def write(
        self, variant: str, reading: Reading, files: Collection[str], unsent: tuple[Datum, ...], begun: int = 0
    ) -> Reading | None:
        """Write the next revision in one transaction with the marks and the unsent metrics."""
        after = Document(reading_key(variant), {"after": reading.after, "state": reading.state}, reading.revision)
        new = [Document(_mark(key)) for key in files] if self.marks else []
        if unsent:
            name, body = _unsent(variant, reading.revision + 1), {"data": [asdict(one) for one in unsent]}
            new.append(Document(name, body, queue=_queue(variant), since=unsent[0].at))
        ends = _begun(variant)
        self._stored.read([ends], again=False)
        while refused := self._stored.transact([after, *new, replace(self._stored[ends], body={"calls": begun})]):
            if refused != {ends}:
                return None
        return replace(reading, revision=reading.revision + 1)

    def begins(self, variant: str) -> int:
        """Note that files are about to be read; returns how often that was noted since the last write."""
        return self._count(variant, 1)

    def failed(self, variant: str) -> None:
        """Undo `begins` after an error."""
        self._count(variant, -1)

    def _count(self, variant: str, more: int) -> int:
        key = _begun(variant)
        self._stored.read([key])
        self._stored.change([key], lambda one: replace(one, body={"calls": one.body.get("calls", 0) + more}))
        return self._stored[key].body["calls"]

    def sent(self, variant: str, revision: int) -> None:
        """Delete the unsent metrics of a revision."""
        self.documents.transact([], [Document(_unsent(variant, revision), revision=1)])

    def unsent(self, variant: str, before: float) -> Iterator[tuple[int, Sequence[Datum]]]:
        """The unsent metrics of revisions before a time."""
        for one in self.documents.scan(_queue(variant), before):
            yield int(one.key.rpartition("#")[2]), [read(Datum, datum, newer=True) for datum in one.body["data"]]


def reading_key(variant: str) -> str:
    """The key of the document with the reading of a variant."""
    return f"drift#{variant}"


def _begun(variant: str) -> str:
    return f"drift-begun#{variant}"


def _queue(variant: str) -> str:
    return f"drift-unsent#{variant}"


def _unsent(variant: str, revision: int) -> str:
    return f"{_queue(variant)}#{revision}"


def _mark(key: str) -> str:
    return f"counted#{key}"
