"""The ledger of labels, above documents: each pair counts once, whichever half comes first.

| document              | what it holds                                                                        |
|-----------------------|--------------------------------------------------------------------------------------|
| `id#<inference id>`   | a label, each variant's prediction, and which predictions were joined or unusable    |
| `once#<name>`         | the file of this name was read to its end; of captures, the beginnings of their ids  |
| `batch#<id>`          | losses and counts that are claimed, see `modelstack.services.batches`
|
| `quality#<variant>`   | the quality state of a variant, see `modelstack.services.batches`
|

One document holds an id's label and all its predictions. So the writer of the last half of a pair sees the other half,
and a label finds the predictions of every variant in one read. A label without one is in the queue `label`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from modelstack.forms import check
from modelstack.monitoring.labels.claimed import content, holds
from modelstack.monitoring.labels.pairs import BEGINNING, Batch, CapturedAnswer, Label, LedgerEntry, captures_once
from modelstack.monitoring.published import UNKNOWN, UNPARSABLE
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.stored import read
from modelstack.services.batches import Batches
from modelstack.services.documents import Stored
from modelstack.services.ports import Document, Documents

_WAITING = "label"
_REMEMBERED = 1000  # waiting labels whose documents are remembered at once
T = TypeVar("T")


@dataclass
class DocumentLedger:
    """`pairs.Ledger` above documents."""

    documents: Documents
    batches: Batches
    now: Callable[[], float]
    _stored: Stored = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._stored = Stored(self.documents)

    def answers(self, variant: str, given: Sequence[tuple[str, CapturedAnswer]]) -> Sequence[tuple[LedgerEntry, bool]]:
        """Store each prediction of a variant by its inference id, unless it has one."""

        def add(document: Document, answer: CapturedAnswer) -> Document | None:
            entry = _entry(document)
            if variant in entry.answers:
                return None
            return replace(document, body=_body(replace(entry, answers={**entry.answers, variant: answer})))

        return self._store(given, add)

    def labels(self, given: Sequence[tuple[str, Label]]) -> Sequence[tuple[LedgerEntry, bool]]:
        """Store each label by its inference id, unless there is a usable one."""

        def add(document: Document, label: Label) -> Document | None:
            entry = _entry(document)
            if entry.given is not None and not entry.gives_way_to(label):
                return None
            body = _body(replace(entry, given=label, unusable=frozenset()))
            return replace(document, body=body, queue=_WAITING, since=self.now())

        return self._store(given, add)

    def _store(
        self, given: Sequence[tuple[str, T]], add: Callable[[Document, T], Document | None]
    ) -> list[tuple[LedgerEntry, bool]]:
        """Store the first of each id; returns the entries, and whether each was stored."""
        first: dict[str, int] = {}
        for place, (inference_id, _) in enumerate(given):
            first.setdefault(_key(inference_id), place)
        self._stored.forget()
        self._stored.read(first)
        new = self._stored.change(first, lambda document: add(document, given[first[document.key]][1]))
        keys = [_key(inference_id) for inference_id, _ in given]
        return [(_entry(self._stored[key]), key in new and first[key] == place) for place, key in enumerate(keys)]

    def seen(self, once: str) -> bool:
        """Whether a batch with this name was taken."""
        return was_taken(self.documents, once)

    def commit(self, batch: Batch) -> None:
        """Claim in one transaction with the batch, then publish it, without entries that another call has claimed."""
        stored, once = self._stored, _once(batch.once or "")
        end = Document(once, {} if batch.begins is None else {"begins": sorted(batch.begins)})
        stored.read([_key(one) for one in (*batch.rows, *batch.unusable, *batch.unknown)], again=False)
        while True:
            rows, unusable, unknown = self._claimable(batch)
            claims = [*rows.values(), *unusable, *unknown]
            if not claims and batch.once is None:
                return
            counts = Counter(batch.counts)
            counts[UNKNOWN] += len(unknown)
            counts[UNPARSABLE] += len(unusable)
            body = content(batch, {name: batch.rows[name] for name in rows}, counts)
            new = [self.batches.document(body)] if holds(body) else []
            refused = stored.transact([*([end] if batch.once else ()), *claims, *new])
            if not refused:
                for document in new:
                    self.batches.send(replace(document, revision=1))
                return
            if once in refused:
                return

    def _claimable(self, batch: Batch) -> tuple[dict[str, Document], list[Document], list[Document]]:
        """The successors of unclaimed entries: of rows by their ids, of unusable labels, of unknown ones."""

        def entry(inference_id: str) -> LedgerEntry:
            return _entry(self._stored[_key(inference_id)])

        def claimed(entry: LedgerEntry) -> Document:
            return replace(self._stored[_key(entry.id)], body=_body(entry), queue="", since=0.0)

        variant = batch.variant
        rows = {one.id: one for one in map(entry, batch.rows) if variant in one.due}
        unusable = [one for one in map(entry, batch.unusable) if variant in one.due]
        waiting = [one for one in batch.unknown if self._stored[_key(one)].queue == _WAITING]
        return (
            {name: claimed(_joined(one, variant)) for name, one in rows.items()},
            [
                claimed(replace(one, unusable=one.unusable | {variant}))
                for one in unusable
                if one.given == batch.unusable[one.id]
            ],
            [claimed(one) for one in map(entry, waiting) if not one.answers],
        )

    def waiting(self, seconds: float) -> Iterator[LedgerEntry]:
        """Labels that have waited longer for their prediction, oldest first."""
        for number, document in enumerate(self.documents.scan(_WAITING, self.now() - seconds)):
            if number % _REMEMBERED == 0:
                self._stored.forget()  # which bounds the memory: `commit` reads again what it needs
            yield _entry(document)

    def finish(self) -> None:
        """Publish the unfinished batches of calls that were killed."""
        self.batches.finish()


def _joined(entry: LedgerEntry, variant: str) -> LedgerEntry:
    """An entry with a joined answer, whose request nobody needs any more."""
    answers = {**entry.answers, variant: replace(entry.answers[variant], rows=None)}
    return replace(entry, joined=entry.joined | {variant}, answers=answers)


def was_taken(documents: Documents, once: str) -> bool:
    """Whether a file was read to its end."""
    key = _once(once)
    return bool(documents.get([key])[key].revision)


def may_hold(documents: Documents, word: str, files: Sequence[str]) -> list[str]:
    """The captured files that may have an id that begins with a word: all but those that are known to have none."""
    keys = {name: _once(captures_once(name)) for name in files}
    found = documents.get(keys.values())
    begins = {name: found[key].body.get("begins") for name, key in keys.items()}
    start = word[:BEGINNING]
    return [name for name, ids in begins.items() if ids is None or any(one.startswith(start) for one in ids)]


def entry_of(documents: Documents, inference_id: str) -> LedgerEntry | None:
    """The entry of one inference id; None if there is none."""
    key = _key(inference_id)
    document = documents.get([key])[key]
    return _entry(document) if document.revision else None


def _key(inference_id: str) -> str:
    return f"id#{inference_id}"


def _once(name: str) -> str:
    return f"once#{name}"


def _entry(document: Document) -> LedgerEntry:
    body: Mapping[str, Any] = document.body
    check("label ledger", body.get("version", 1), RolloutError)
    return LedgerEntry(
        id=document.key.removeprefix("id#"),
        answers={
            variant: read(CapturedAnswer, answer, newer=True) for variant, answer in body.get("answers", {}).items()
        },
        given=read(Label, body["given"], newer=True) if "given" in body else None,
        joined=frozenset(body.get("joined", ())),
        unusable=frozenset(body.get("unusable", ())),
    )


def _body(entry: LedgerEntry) -> dict[str, Any]:
    return {
        **({"given": vars(entry.given)} if entry.given else {}),
        "answers": {variant: vars(answer) for variant, answer in entry.answers.items()},
        "joined": sorted(entry.joined),
        "unusable": sorted(entry.unusable),
    }
