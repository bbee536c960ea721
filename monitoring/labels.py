"""Late labels, joined with the answers that they are about: each pair counts once, whichever half comes first.

Answers are looked at as they come, too: whether they keep to the model's contract needs no label.

    {"inference_id": "2013-03-01-UA1545-EWR", "label": true}       # a line of a labels file
    {"inference_id": "batch-7", "label": [true, false]}            # an answer of two predictions

A pair is a label and one variant's answer: champion and shadow answer the same request under one inference id, and the
label is joined with each answer. All halves of an id meet in one item of a ledger. Who finds a pair complete claims it,
in one transaction with a batch that holds its losses and is sent after that. So two deliveries, or two calls at once,
count a pair once; what was claimed by a call that was killed is sent by the next.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Protocol, TypeVar, cast

from monitoring import capture
from monitoring.contract import violation
from monitoring.quality import Form, Scalar, UnreadableForm, UnreadableLabel
from rollout import RolloutState
from rollout.records import Malformed, Recorded

UNPARSABLE, UNKNOWN = "LabelsUnparsable", "LabelsUnknown"
DUPLICATE, CONTRADICTING = "LabelsDuplicate", "LabelsContradicting"
ANSWERS_UNREADABLE, ANSWERS_DUPLICATE, LOST = "AnswersUnreadable", "AnswersDuplicate", "LabelsLost"
INVALID = "InvalidAnswers"
_CHUNK, _LONGEST_ID = 400, 64
_WHYS = 20  # kept aside of one captured file
_CLAIMS, _ROWS = 90, 2000  # of one transaction, which DynamoDB allows 100 actions; and of one batch, of 400 kB

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What was answered, as far as its label needs it.

    Attributes:
        event: The platform's id of the invocation: two captures of one have the same.
        variant: Who answered.
        at: When, in epoch seconds, whole ones; 0 when that is not told.
        form: The form of the release's predictions, see `quality.Form`.
        said: What is compared with the label, one a prediction.
    """

    event: str
    variant: str
    at: float
    form: Mapping[str, Any]
    said: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Given:
    """A label as it came: JSON text, and from which line of which file."""

    label: str
    source: str


@dataclass(frozen=True)
class Entry:
    """What is known of one inference id.

    Attributes:
        id: The inference id.
        answers: The first answer of each variant, by the variant.
        given: The first label.
        joined: The variants whose answer was joined with the label.
    """

    id: str
    answers: Mapping[str, Answer] = field(default_factory=dict[str, Answer])
    given: Given | None = None
    joined: frozenset[str] = frozenset()

    @property
    def due(self) -> frozenset[str]:
        """The variants whose answer can be joined and was not yet."""
        return frozenset(self.answers) - self.joined if self.given is not None else frozenset()


@dataclass(frozen=True)
class Row:
    """The losses of one joined answer, a list a metric, and in which trial it was given."""

    variant: str
    trial: str | None
    losses: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Rejected:
    """A line of a labels file, or records of a captured one, that were kept aside, and why."""

    metric: str
    why: str
    source: str
    line: str

    def as_json(self) -> str:
        """One line of a file of rejected labels."""
        return json.dumps({"reason": self.why, "kind": self.metric, "source": self.source, "line": self.line})


@dataclass
class Batch:
    """What is published together: the pairs of one variant that are settled, and counts by metric.

    Attributes:
        variant: Whose answers `rows` and `checked` are about.
        rows: Inference id -> what it gives; None when its label could not be used, which counts as `LabelsUnparsable`.
        checked: (Trial or None, whether it breaks the model's contract) -> how many answers; only with `once`.
        unknown: Inference ids whose label waits no longer; each counts as `LabelsUnknown`.
        counts: Metric -> further counts; only with `once`, so that they count once.
        once: A name; of two batches with the same, one is taken.
    """

    variant: str = ""
    rows: dict[str, Row | None] = field(default_factory=dict[str, "Row | None"])
    checked: Counter[tuple[str | None, bool]] = field(default_factory=Counter[tuple[str | None, bool]])
    unknown: set[str] = field(default_factory=set[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    once: str | None = None


class Ledger(Protocol):
    """Keeps both halves of each pair, and the batches that are still to be sent."""

    def answers(self, variant: str, given: Sequence[tuple[str, Answer]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each answer of a variant by its inference id, unless it has one; what is known then, and whether it was
        kept.
        """
        ...

    def labels(self, given: Sequence[tuple[str, Given]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each label by its inference id, unless there is one; what is known then, and whether it was kept."""
        ...

    def seen(self, once: str) -> bool:
        """Whether a batch with this name was taken."""
        ...

    def commit(self, batch: Batch) -> None:
        """Claim what nobody claimed, and send it: all of both, or nothing and an error."""
        ...

    def waiting(self, seconds: float) -> Iterable[Entry]:
        """Labels that have waited longer for their answer."""
        ...

    def finish(self) -> None:
        """Send what calls that were killed left behind."""
        ...


class Aside(Protocol):
    """Keeps rejected lines."""

    def keep(self, name: str, lines: Sequence[str]) -> None:
        """Write a file of lines; the same name twice is one file."""
        ...


@dataclass(frozen=True)
class Trial:
    """The rollout that is on trial now: its id, since when its present step has traffic, and who takes part.

    Labels count for answers of the present step only. At a new weight the challenger's answers are younger than the
    champion's on average, and labels that come early differ from those that come late; within a step both are alike.
    """

    rollout_id: str
    began: float
    variants: frozenset[str]

    @classmethod
    def of(cls, state: RolloutState) -> Trial | None:
        """The present trial; None when there is none, or it has no traffic yet."""
        if not state.on_trial or not state.step_starts:
            return None
        both = [item.variant for item in (state.champion, state.challenger) if item is not None]
        return cls(state.rollout_id, state.step_starts[-1], frozenset(both))

    def has(self, variant: str, at: float) -> bool:
        """Whether a variant's answer was given in it. (Captures tell whole seconds, so that of its start counts.)"""
        return variant in self.variants and at >= int(self.began)


@dataclass(frozen=True)
class LabelJoin:
    """Joins labels with answers.

    Attributes:
        ledger: Where halves wait for each other.
        aside: Where rejected lines go.
        trial: The present trial.
    """

    ledger: Ledger
    aside: Aside
    trial: Trial | None

    def answers(self, name: str, variant: str, form: Form | None, lines: Iterable[bytes | str]) -> int:
        """Take in a file of captured data; returns how many pairs it completed.

        Every answer is held against the model's contract, labels or not.

        Args:
            name: The file's.
            variant: Who answered.
            form: The form of the release's predictions; None when the release has none.
            lines: The file's.
        """
        once = f"capture {name}"
        if self.ledger.seen(once):
            return 0
        end, joined, aside = Batch(variant, once=once), 0, Counter[tuple[str, str]]()
        for chunk in _chunks(capture.read(lines)):
            usable: list[tuple[str, Answer]] = []
            for item in chunk:
                if isinstance(item, Recorded) and item.answered is not None:
                    wrong = violation(form, item)
                    end.checked[_trial_of(self.trial, variant, _time(item)), wrong is not None] += 1
                    aside.update([(INVALID, wrong)] if wrong else [])
                answer = _answer(item, variant, form)
                if isinstance(answer, Malformed):
                    aside[ANSWERS_UNREADABLE, answer.why] += 1
                    end.counts[ANSWERS_UNREADABLE] += 1
                elif answer is not None:
                    usable.append(answer)
            found: list[Entry] = []
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

    def labels(self, name: str, digest: str, lines: Iterable[bytes]) -> int:
        """Take in a file of labels; returns how many pairs it completed.

        Args:
            name: The file's, for people.
            digest: Of its content: the same content twice is one delivery.
            lines: The file's.
        """
        once = f"labels {digest}"
        if self.ledger.seen(once):
            return 0
        end, rejected, joined = Batch(once=once), list[Rejected](), 0

        for chunk in _chunks(enumerate(lines, 1)):
            usable: list[tuple[str, Given]] = []
            origins: list[tuple[str, str]] = []
            for number, line in chunk:
                if line.strip():
                    origin = f"{name}:{number}", line.decode(errors="replace").strip()
                    try:
                        inference_id, label = parse(line)
                    except ValueError as error:
                        rejected.append(Rejected(UNPARSABLE, str(error), *origin))
                    else:
                        usable.append((inference_id, Given(label, f"{digest[:16]}:{number}")))
                        origins.append(origin)
            found: list[Entry] = []
            answered = zip(usable, origins, self.ledger.labels(usable), strict=True)
            for (_, given), origin, (entry, kept) in answered:
                if kept or entry.given is None or entry.given.source == given.source:
                    found.append(entry)
                else:
                    rejected.append(_later(entry.given, given, origin))
            joined += self._join(found)
        if rejected:
            self.aside.keep(digest[:16], [item.as_json() for item in rejected])
        end.counts.update(item.metric for item in rejected)
        self.ledger.commit(end)
        return joined

    def sweep(self, patience: float) -> int:
        """Finish what was left, and give up on labels that waited longer than `patience` seconds for an answer.

        Returns:
            How many labels were given up. Should the answer come after all, they count.
        """
        self.ledger.finish()
        given_up = 0
        for chunk in _chunks(self.ledger.waiting(patience), _CLAIMS):
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

    def _join(self, entries: Sequence[Entry]) -> int:
        """Settle every pair that is due, variant by variant: one transaction takes no inference id twice."""
        due = {
            variant: [entry for entry in entries if variant in entry.due] for entry in entries for variant in entry.due
        }
        for variant in sorted(due):
            self._join_of(variant, due[variant])
        return sum(map(len, due.values()))

    def _join_of(self, variant: str, entries: Sequence[Entry]) -> None:
        batch, rejected, size = Batch(variant), list[Rejected](), 0
        for entry in entries:
            try:
                batch.rows[entry.id] = row = _row(entry, variant, self.trial)
                size += sum(len(values) for values in row.losses.values())
            except (UnreadableLabel, UnreadableForm) as error:
                batch.rows[entry.id] = None
                rejected.append(Rejected(UNPARSABLE, f"{variant}: {error}", _source(entry), _line(entry)))
            if len(batch.rows) >= _CLAIMS or size >= _ROWS:
                self._settle(batch, rejected)
                batch, rejected, size = Batch(variant), [], 0
        self._settle(batch, rejected)

    def _settle(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        if rejected:
            name = f"joined-{batch.variant}-{_digest(batch.rows)}"
            self.aside.keep(name, [item.as_json() for item in rejected])
        if batch.rows:
            self.ledger.commit(batch)


def parse(line: bytes) -> tuple[str, str]:
    """Inference id and label, as JSON text, of a line of a labels file.

    Raises:
        ValueError: It is no object with an inference id and a label; the message says what is wrong.
    """
    try:
        value: object = json.loads(line, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("the line is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"got {type(value).__name__}, expected an object with inference_id and label")
    fields = cast(dict[str, object], value)
    inference_id = fields.get("inference_id")
    if not isinstance(inference_id, str) or not 0 < len(inference_id) <= _LONGEST_ID:
        raise ValueError(f"inference_id: got {inference_id!r}, expected a text of 1 to {_LONGEST_ID} characters")
    if "label" not in fields:
        raise ValueError("label: missing, expected the true label")
    label = fields["label"]
    several = cast(list[object], label) if isinstance(label, list) else [label]
    if not several or not all(isinstance(item, Scalar) for item in several):
        raise ValueError(f"label: got {label!r}, expected true, false, a number, a text, or a list of these")
    return inference_id, json.dumps(label)


def _answer(item: Recorded | Malformed, variant: str, form: Form | None) -> tuple[str, Answer] | Malformed | None:
    """A captured answer by its inference id, or why it cannot be read; None when no label can be about it."""
    if isinstance(item, Malformed):
        return item
    if item.inference_id is None or len(item.inference_id) > _LONGEST_ID:
        return None
    rows = capture.predictions(item)
    if isinstance(rows, Malformed):
        return rows
    if form is None or not rows:
        return Malformed("the release has no answer.json" if form is None else "the answer has no predictions")
    said = [form.said(row) for row in rows]
    return item.inference_id, Answer(item.event_id, variant, _time(item), form.as_dict(), said)


def _time(item: Recorded) -> float:
    try:
        return datetime.fromisoformat(item.at).timestamp()
    except ValueError:
        return 0.0


def _row(entry: Entry, variant: str, trial: Trial | None) -> Row:
    answer, given = entry.answers[variant], cast(Given, entry.given)
    form, label = Form.from_dict(answer.form), json.loads(given.label)
    labels = cast(list[object], label) if isinstance(label, list) else [label]
    if len(labels) != len(answer.said):
        raise UnreadableLabel(f"label: got {len(labels)} of them, expected {len(answer.said)}, one a prediction")
    losses: dict[str, list[float]] = {}
    for said, one in zip(answer.said, labels, strict=True):
        for name, value in form.losses(said, form.label(one)).items():
            losses.setdefault(name, []).append(value)
    return Row(variant, _trial_of(trial, variant, answer.at), losses)


def _trial_of(trial: Trial | None, variant: str, at: float) -> str | None:
    return trial.rollout_id if trial is not None and trial.has(variant, at) else None


def _later(first: Given, given: Given, origin: tuple[str, str]) -> Rejected:
    if first.label == given.label:
        return Rejected(DUPLICATE, "this id has this label already", *origin)
    return Rejected(CONTRADICTING, f"this id has the label {first.label} already, which stays", *origin)


def _line(entry: Entry) -> str:
    given = cast(Given, entry.given)
    return json.dumps({"inference_id": entry.id, "label": json.loads(given.label)})


def _source(entry: Entry) -> str:
    return cast(Given, entry.given).source


def _digest(ids: Iterable[str]) -> str:
    return f"{zlib.crc32(chr(10).join(sorted(ids)).encode()):08x}"


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _chunks(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
