"""What is known of a label and of the answers that it is about, and who keeps it.

A pair is a label and one variant's answer: champion and shadow answer the same request under one inference id, and the
label is joined with each answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from monitoring.labels.performance import Outcome
from monitoring.labels.quality import Scored
from monitoring.labels.scores import Scores
from rollout.core.state import RolloutState


@dataclass(frozen=True)
class CapturedAnswer:
    """What was answered, as far as its label needs it.

    Attributes:
        event: The platform's id of the invocation: two captures of one have the same.
        variant: Who answered.
        at: When, in epoch seconds, whole ones; 0 when that is not told, or cannot be.
        form: The form of the release's predictions, see `quality.Form`.
        said: What is compared with the label, one a prediction.
        segments: Column -> the value of each instance, one a prediction; empty when none is told apart.
        about: The time that its sender told the request to be about, epoch seconds; None: that of the answer.
    """

    event: str
    variant: str
    at: float
    form: Mapping[str, Any]
    said: Sequence[Mapping[str, Any]]
    segments: Sequence[Mapping[str, str]] = ()
    about: float | None = None


@dataclass(frozen=True)
class Label:
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
        unusable: The variants with whose answer it could not be joined, since it is none that they could be wrong by.
    """

    id: str
    answers: Mapping[str, CapturedAnswer] = field(default_factory=dict[str, CapturedAnswer])
    given: Label | None = None
    joined: frozenset[str] = frozenset()
    unusable: frozenset[str] = frozenset()

    @property
    def due(self) -> frozenset[str]:
        """The variants whose answer can be joined and was not yet."""
        return frozenset(self.answers) - self.joined - self.unusable if self.given is not None else frozenset()

    def gives_way_to(self, given: Label) -> bool:
        """Whether another label takes the place of the one that is there: that one was of no use to anybody."""
        return self.given is not None and bool(self.unusable) and not self.joined and given.label != self.given.label


@dataclass(frozen=True)
class Row:
    """One joined answer, a value a prediction.

    Attributes:
        variant: Who answered.
        trial: In which trial it was given; None in none.
        losses: Metric -> the losses.
        at: When it was given, see `CapturedAnswer.at`.
        scored: Score, whether it was decided for, and whether it was a hit; None of what has no score.
        segments: See `CapturedAnswer.segments`.
        about: See `CapturedAnswer.about`.
    """

    variant: str
    trial: str | None
    losses: Mapping[str, Sequence[float]]
    at: float = 0.0
    scored: Sequence[tuple[float, bool, bool] | None] = ()
    segments: Sequence[Mapping[str, str]] = ()
    about: float | None = None

    def outcomes(self) -> Iterator[Outcome]:
        """Each prediction held against its label."""
        for place in range(max(map(len, self.losses.values()), default=0)):
            losses = {name: values[place] for name, values in self.losses.items()}
            found = self.scored[place] if self.scored else None
            segments = self.segments[place] if self.segments else dict[str, str]()
            scored = Scored(found[0], decided=found[1]) if found else None
            yield Outcome(losses, scored, found is not None and found[2], segments)


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
        rows: Inference id -> what it gives.
        unusable: Inference id -> the label that could not be used; each counts as `LabelsUnparsable`.
        checked: (Trial or None, whether it breaks the model's contract) -> how many answers; only with `once`.
        answered: The scores of the answers, labels or not; only with `once`.
        unknown: Inference ids whose label waits no longer; each counts as `LabelsUnknown`.
        counts: Metric -> further counts; only with `once`, so that they count once.
        once: A name; of two batches with the same, one is taken.
    """

    variant: str = ""
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    unusable: dict[str, Label] = field(default_factory=dict[str, Label])
    checked: Counter[tuple[str | None, bool]] = field(default_factory=Counter[tuple[str | None, bool]])
    answered: Scores = field(default_factory=Scores)
    unknown: set[str] = field(default_factory=set[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    once: str | None = None


class Ledger(Protocol):
    """Keeps both halves of each pair, and the batches that are still to be sent."""

    def answers(self, variant: str, given: Sequence[tuple[str, CapturedAnswer]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each answer of a variant by its inference id, unless it has one; what is known then, and whether it was
        kept.
        """
        ...

    def labels(self, given: Sequence[tuple[str, Label]]) -> Sequence[tuple[Entry, bool]]:
        """Keep each label by its inference id, unless there is one that is of use; what is known then, and whether it
        was kept.
        """
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
