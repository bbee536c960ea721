"""The join of late labels with captured answers, which counts each pair once, in any order of arrival.

All parts of an id meet in one ledger item. A complete pair is claimed in one transaction with a batch of its losses,
which is sent afterwards. So concurrent or repeated deliveries count once, and a batch of a killed call is sent by the
next. Answers are also checked against the model's contract as they come.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar, cast

from modelstack.monitoring import captured
from modelstack.monitoring.captured import Malformed, Recorded, Row
from modelstack.monitoring.custom import CustomMetrics, Tally
from modelstack.monitoring.labels.answered import Reader
from modelstack.monitoring.labels.lines import parse
from modelstack.monitoring.labels.pairs import (
    Aside,
    Batch,
    CapturedAnswer,
    CurrentTrial,
    JoinedRow,
    Label,
    Ledger,
    LedgerEntry,
    Rejected,
    captures_once,
)
from modelstack.monitoring.labels.performance import LabelScore
from modelstack.monitoring.labels.quality import Form, Scalar, UnreadableForm, UnreadableLabel
from modelstack.monitoring.labels.sound import violation
from modelstack.monitoring.published import (
    ANSWERS_DUPLICATE,
    ANSWERS_SKEWED,
    ANSWERS_UNREADABLE,
    CONTRADICTING,
    DUPLICATE,
    UNKNOWN,
    UNPARSABLE,
)
from modelstack.rollout.core.catalogue import INVALID

_CHUNK = 400
_WHYS = 20  # rejection reasons stored per captured file
_ROWS = 1500  # of one batch: a DynamoDB item has at most 400 kB

T = TypeVar("T")


@dataclass(frozen=True)
class LabelJoin:
    """Joins labels with answers; `claims` is the number of pairs per transaction (DynamoDB allows 100 actions)."""

    ledger: Ledger
    aside: Aside
    trial: CurrentTrial | None
    claims: int = 90
    custom: CustomMetrics = field(default_factory=CustomMetrics)

    def answers(self, name: str, reader: Reader, recorded: Iterable[Recorded | Malformed]) -> int:
        """Check a captured file against the model's contract and join it; returns the number of completed pairs."""
        once = captures_once(name)
        if self.ledger.seen(once):
            return 0
        variant = reader.variant
        end, joined, aside = Batch(variant, begins=set(), once=once), 0, Counter[tuple[str, str]]()
        for chunk in _chunks(recorded):
            usable: list[tuple[str, CapturedAnswer]] = []
            for item in chunk:
                end.note(item)
                if isinstance(item, Recorded) and item.ours:
                    continue
                if isinstance(item, Recorded) and item.answered is not None:
                    aside.update(self._look(reader, item, end))
                answer = reader.answer(item)
                if isinstance(answer, Malformed):
                    aside[ANSWERS_UNREADABLE, answer.why] += 1
                    end.counts[ANSWERS_UNREADABLE] += 1
                elif answer is not None:
                    usable.append(answer)
            found: list[LedgerEntry] = []
            for (_, answer), (entry, kept) in zip(usable, self.ledger.answers(variant, usable), strict=True):
                first = entry.answers.get(variant)
                if not kept and first is not None and first.event != answer.event:
                    end.counts[ANSWERS_DUPLICATE] += 1
                else:
                    found.append(entry)
            joined += self._join(found)
        if aside:
            kept = [Rejected(*why, name, f"{n} records") for why, n in aside.most_common(_WHYS)]
            self.aside.keep(name.replace("/", "-"), [item.as_json() for item in kept])
        self.ledger.commit(end)
        return joined

    def _look(self, reader: Reader, item: Recorded, into: Batch) -> list[tuple[str, str]]:
        wrong, skew = violation(reader.form, item), reader.skew(item)
        trial = _trial_of(self.trial, reader.variant, reader.time(item))
        into.checked[trial, wrong is not None] += 1
        if self.custom.any_of(labelled=False):
            for name, tally in self.custom.observe(captured.instances(item), captured.predictions(item)).items():
                into.custom.setdefault((trial, name), Tally()).merge(tally)
        for scored in reader.scores(item):
            into.answered.add(scored.score, decided=scored.decided)
        if skew:
            into.counts[ANSWERS_SKEWED] += 1
        return [(metric, why) for metric, why in ((INVALID, wrong), (ANSWERS_SKEWED, skew)) if why]

    def labels(self, name: str, digest: str, lines: Iterable[bytes]) -> int:
        """Join a file of labels, once per `digest`; returns the number of completed pairs."""
        once = f"labels {digest}"
        if self.ledger.seen(once):
            return 0
        end, rejected, joined = Batch(once=once), list[Rejected](), 0

        for chunk in _chunks(enumerate(lines, 1)):
            usable: list[tuple[str, Label]] = []
            origins: list[tuple[str, str]] = []
            for number, line in chunk:
                if line.strip():
                    origin = f"{name}:{number}", line.decode(errors="replace").strip()
                    try:
                        inference_id, label = parse(line)
                    except ValueError as error:
                        rejected.append(Rejected(UNPARSABLE, str(error), *origin))
                    else:
                        usable.append((inference_id, Label(label, f"{digest[:16]}:{number}")))
                        origins.append(origin)
            later, now_joined = self._take(usable)
            joined += now_joined
            # Only now is it known that the earlier label was unusable: this one replaces it.
            again = [place for place, first in later.items() if first.label != usable[place][1].label]
            clashing, now_joined = self._take([usable[place] for place in again])
            joined += now_joined
            same = {place: first for place, first in later.items() if place not in again}
            for place, first in sorted({**same, **{again[n]: first for n, first in clashing.items()}}.items()):
                rejected.append(_later(first, usable[place][1], origins[place]))
        if rejected:
            self.aside.keep(digest[:16], [item.as_json() for item in rejected])
        end.counts.update(item.metric for item in rejected)
        self.ledger.commit(end)
        return joined

    def _take(self, labels: Sequence[tuple[str, Label]]) -> tuple[dict[int, Label], int]:
        """The places of labels that came after another one, with that one, and the number of completed pairs."""
        if not labels:
            return {}, 0
        found: list[LedgerEntry] = []
        later: dict[int, Label] = {}
        for place, ((_, given), (entry, kept)) in enumerate(zip(labels, self.ledger.labels(labels), strict=True)):
            if kept or entry.given is None or entry.given.source == given.source:
                found.append(entry)
            else:
                later[place] = entry.given
        return later, self._join(found)

    def sweep(self, patience: float) -> int:
        """Finish interrupted work, and give up labels that waited longer than `patience` seconds; returns their number.

        If the answer comes after all, they count.
        """
        self.ledger.finish()
        given_up = 0
        for chunk in _chunks(self.ledger.waiting(patience), self.claims):
            self._join(chunk)
            unknown = [entry for entry in chunk if not entry.answers]
            batch = Batch(unknown={entry.id for entry in unknown})
            if batch.unknown:
                why = f"no answer with this id was captured within {patience:.0f} s"
                late = [Rejected(UNKNOWN, why, _source(entry), _line(entry)) for entry in unknown]
                self.aside.keep(f"unknown-{_digest(batch.unknown)}", [item.as_json() for item in late])
                self.ledger.commit(batch)
                given_up += len(batch.unknown)
        return given_up

    def _join(self, entries: Sequence[LedgerEntry]) -> int:
        """Variant by variant, since a transaction must not contain an inference id twice."""
        due: dict[str, list[LedgerEntry]] = {}
        for entry in entries:
            for variant in entry.due:
                due.setdefault(variant, []).append(entry)
        for variant in sorted(due):
            self._join_of(variant, due[variant])
        return sum(map(len, due.values()))

    def _join_of(self, variant: str, entries: Sequence[LedgerEntry]) -> None:
        batch, rejected, size = Batch(variant), list[Rejected](), 0
        for entry in entries:
            try:
                batch.rows[entry.id] = row = _row(entry, variant, self.trial, self.custom)
                size += sum(len(values) for values in row.losses.values())
            except (UnreadableLabel, UnreadableForm) as error:
                batch.unusable[entry.id] = cast(Label, entry.given)
                rejected.append(Rejected(UNPARSABLE, f"{variant}: {error}", _source(entry), _line(entry)))
            if len(batch.rows) + len(batch.unusable) >= self.claims or size >= _ROWS:
                self._settle(batch, rejected)
                batch, rejected, size = Batch(variant), [], 0
        self._settle(batch, rejected)

    def _settle(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        if rejected:
            name = f"joined-{batch.variant}-{_digest({**batch.rows, **batch.unusable})}"
            self.aside.keep(name, [item.as_json() for item in rejected])
        if batch.rows or batch.unusable:
            self.ledger.commit(batch)


def _row(entry: LedgerEntry, variant: str, trial: CurrentTrial | None, custom: CustomMetrics) -> JoinedRow:
    answer, given = entry.answers[variant], cast(Label, entry.given)
    form, label = Form.from_dict(answer.form), json.loads(given.label)
    labels = cast(list[object], label) if isinstance(label, list) else [label]
    if len(labels) != len(answer.said):
        raise UnreadableLabel(f"label: got {len(labels)} of them, expected {len(answer.said)}, one a prediction")
    losses: dict[str, list[float]] = {}
    scored: list[tuple[float, bool, bool] | None] = []
    truth = [form.label(one) for one in labels]
    for said, one in zip(answer.said, truth, strict=True):
        found = LabelScore.of(form, said, one)
        scored.append((found.scored.score, found.scored.decided, found.hit) if found.scored else None)
        for name, value in found.losses.items():
            losses.setdefault(name, []).append(value)
    tallies = {name: tally.as_list() for name, tally in _custom(custom, answer.rows, truth).items()}
    trial_id = _trial_of(trial, variant, answer.at)
    return JoinedRow(variant, trial_id, losses, answer.at, scored, answer.segments, answer.about, tallies)


def _custom(custom: CustomMetrics, rows: Sequence[Sequence[Row]] | None, labels: list[Scalar]) -> dict[str, Tally]:
    """The values of custom metrics that need the label; none of an answer that came before them."""
    if rows is None:
        return {}
    unknown = Malformed("its request was not captured, does not fit its answer, or is too large to wait for a label")
    requests, answers = (tuple(row[side] for row in rows) or unknown for side in (0, 1))
    return custom.observe(requests, answers, labels)


def _trial_of(trial: CurrentTrial | None, variant: str, at: float) -> str | None:
    return trial.rollout_id if trial is not None and trial.has(variant, at) else None


def _later(first: Label, given: Label, origin: tuple[str, str]) -> Rejected:
    if first.label == given.label:
        return Rejected(DUPLICATE, "this id has this label already", *origin)
    return Rejected(CONTRADICTING, f"this id has the label {first.label} already, which stays", *origin)


def _line(entry: LedgerEntry) -> str:
    given = cast(Label, entry.given)
    return json.dumps({"inference_id": entry.id, "label": json.loads(given.label)})


def _source(entry: LedgerEntry) -> str:
    return cast(Label, entry.given).source


def _digest(ids: Iterable[str]) -> str:
    return f"{zlib.crc32(chr(10).join(sorted(ids)).encode()):08x}"


def _chunks(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
