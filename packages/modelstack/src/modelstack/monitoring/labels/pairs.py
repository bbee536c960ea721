"""Labels, answers, and the ports that store them.

A pair is a label and one variant's answer: champion and shadow answer a request under the same inference id, and the
label is joined with each answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelstack.monitoring.captured import Malformed, Recorded, Row
from modelstack.monitoring.custom import Tally
from modelstack.monitoring.labels.performance import LabelScore
from modelstack.monitoring.labels.quality import Scored
from modelstack.monitoring.labels.scores import Scores
from modelstack.rollout.core.state import RolloutState

BEGINNING = 6
"""Characters of an id that `Batch.begins` holds."""
_MOST_IDS = 50_000  # their beginnings take about 200 kB of a document


@dataclass(frozen=True)
class CapturedAnswer:
    """The parts of an answer that its label needs.

    Attributes:
        event: The platform's id of the invocation, the same in two captures of it.
        at: Whole epoch seconds; 0 when unknown or impossible.
        form: The form of the release's predictions, see `quality.Form`.
        said: Per prediction, what is compared with the label.
        segments: Per prediction, column -> value; empty without segments.
        about: The time that the request is about by its sender, epoch seconds; None: that of the answer.
        rows: Instances with their predictions, for custom metrics that need the label; None if none does, empty if
            they are unknown or too large.
    """

    event: str
    variant: str
    at: float
    form: Mapping[str, Any]
    said: Sequence[Mapping[str, Any]]
    segments: Sequence[Mapping[str, str]] = ()
    about: float | None = None
    rows: Sequence[Sequence[Row]] | None = None


@dataclass(frozen=True)
class Label:
    """A label as JSON text, with its file and line."""

    label: str
    source: str


@dataclass(frozen=True)
class LedgerEntry:
    """The ledger's entry of one inference id.

    Attributes:
        answers: The first answer of each variant.
        given: The first label.
        joined: Variants whose answer was joined with the label.
        unusable: Variants for whose answer the label is invalid.
    """

    id: str
    answers: Mapping[str, CapturedAnswer] = field(default_factory=dict[str, CapturedAnswer])
    given: Label | None = None
    joined: frozenset[str] = frozenset()
    unusable: frozenset[str] = frozenset()

    @property
    def due(self) -> frozenset[str]:
        """Variants whose answer can be joined now."""
        return frozenset(self.answers) - self.joined - self.unusable if self.given is not None else frozenset()

    def gives_way_to(self, given: Label) -> bool:
        """Whether another label replaces the present one, which no variant could use."""
        return self.given is not None and bool(self.unusable) and not self.joined and given.label != self.given.label


@dataclass(frozen=True)
class JoinedRow:
    """One joined answer, with a value per prediction.

    Attributes:
        trial: The rollout id of its trial, if any.
        losses: By metric.
        at: See `CapturedAnswer.at`.
        scored: Score, whether it was decided for, and whether it was a hit; None without a score.
        custom: The tallies of custom metrics that need the label, by their published names, see `custom.Tally`.
    """

    variant: str
    trial: str | None
    losses: Mapping[str, Sequence[float]]
    at: float = 0.0
    scored: Sequence[tuple[float, bool, bool] | None] = ()
    segments: Sequence[Mapping[str, str]] = ()
    about: float | None = None
    custom: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])

    def outcomes(self) -> Iterator[LabelScore]:
        """Each prediction with its label."""
        for place in range(max(map(len, self.losses.values()), default=0)):
            losses = {name: values[place] for name, values in self.losses.items()}
            found = self.scored[place] if self.scored else None
            segments = self.segments[place] if self.segments else dict[str, str]()
            scored = Scored(found[0], decided=found[1]) if found else None
            yield LabelScore(losses, scored, found is not None and found[2], segments)


@dataclass(frozen=True)
class Rejected:
    """A rejected line of a labels file or of captured records, and why."""

    metric: str
    why: str
    source: str
    line: str

    def as_json(self) -> str:
        """One line of a file of rejections."""
        return json.dumps({"reason": self.why, "kind": self.metric, "source": self.source, "line": self.line})


@dataclass
class Batch:
    """Settled pairs of one variant and counts by metric, which are published together.

    Attributes:
        unusable: Inference id -> the invalid label; each counts as `LabelsUnparsable`.
        checked: (Trial or None, whether it breaks the model's contract) -> number of answers; only with `once`.
        answered: The scores of the answers, with or without labels; only with `once`.
        custom: (Trial or None, published name) -> values of a custom metric that needs no label; only with `once`.
        unknown: Inference ids of expired labels; each counts as `LabelsUnknown`.
        counts: Further counts by metric; only with `once`.
        begins: The beginnings of all event and inference ids of a captured file, by which a search skips the file; None
            if some are unknown, or there are too many. Only with `once`.
        once: A name under which only one batch is accepted.
    """

    variant: str = ""
    rows: dict[str, JoinedRow] = field(default_factory=dict[str, JoinedRow])
    unusable: dict[str, Label] = field(default_factory=dict[str, Label])
    checked: Counter[tuple[str | None, bool]] = field(default_factory=Counter[tuple[str | None, bool]])
    answered: Scores = field(default_factory=Scores)
    custom: dict[tuple[str | None, str], Tally] = field(default_factory=dict[tuple[str | None, str], Tally])
    unknown: set[str] = field(default_factory=set[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    begins: set[str] | None = None
    once: str | None = None

    def note(self, item: Recorded | Malformed) -> None:
        """Add the beginnings of a record's ids."""
        if isinstance(item, Malformed) or (self.begins is not None and len(self.begins) >= _MOST_IDS):
            self.begins = None
        elif self.begins is not None:
            self.begins |= {one[:BEGINNING] for one in (item.event_id, item.inference_id) if one}


def captures_once(name: str) -> str:
    """`Batch.once` of a captured file."""
    return f"capture {name}"


class Ledger(Protocol):
    """Stores both halves of each pair, and the batches to send."""

    def answers(self, variant: str, given: Sequence[tuple[str, CapturedAnswer]]) -> Sequence[tuple[LedgerEntry, bool]]:
        """Store each answer unless its id has one of the variant; returns entries, and whether each was stored."""

    def labels(self, given: Sequence[tuple[str, Label]]) -> Sequence[tuple[LedgerEntry, bool]]:
        """Store each label unless its id has a usable one; returns entries, and whether each was stored."""

    def seen(self, once: str) -> bool:
        """Whether a batch with this name was accepted."""

    def commit(self, batch: Batch) -> None:
        """Claim what is unclaimed, and send it: all of both, or nothing and an error."""

    def waiting(self, seconds: float) -> Iterable[LedgerEntry]:
        """Labels that have waited longer for their answer."""

    def finish(self) -> None:
        """Send the batches of killed calls."""


class Aside(Protocol):
    """Stores rejected lines."""

    def keep(self, name: str, lines: Sequence[str]) -> None:
        """Write a file of lines; the same name twice is one file."""


@dataclass(frozen=True)
class CurrentTrial:
    """The current trial: its id, when its current step got traffic (epoch seconds), and its variants.

    Labels count for answers of the current step only: at a new weight the challenger's answers are younger than the
    champion's, and early labels differ from late ones.
    """

    rollout_id: str
    began: float
    variants: frozenset[str]

    @classmethod
    def of(cls, state: RolloutState) -> CurrentTrial | None:
        """The current trial; None without one, or before it has traffic."""
        if not state.on_trial or not state.step_starts:
            return None
        both = [item.variant for item in (state.champion, state.challenger) if item is not None]
        return cls(state.rollout_id, state.step_starts[-1], frozenset(both))

    def has(self, variant: str, at: float) -> bool:
        """Whether a variant's answer belongs to it. Captures have whole seconds, so its first second counts."""
        return variant in self.variants and at >= int(self.began)
