"""Losses of one prediction and its label, by the release's `answer.json`.

`answer.json` says which field of a prediction holds what, so that labels are joined without the model's code:

    {"kind": "classification", "classes": [false, true], "decision": "late", "probability": "probability"}
    {"kind": "regression", "value": "minutes", "largest_error": 180}

`probability` names a field with the probability of the last of two classes, or an object with one number per class;
without it there is no log-loss. A prediction with a missing or wrongly typed field counts as the worst one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

WORST_LOG_LOSS = 5.0  # nats; the loss of a probability of 0.7%
ACCURACY, LOG_LOSS, ABSOLUTE_ERROR, ERROR = "Accuracy", "LogLoss", "AbsoluteError", "Error"

Scalar = bool | int | float | str
Said = Mapping[str, Any]
"""The stored part of a prediction: `decision` and `probability`, or `value`."""


class UnreadableForm(ValueError):
    """A release's `answer.json` is missing or invalid."""


class UnreadableLabel(ValueError):
    """A label that the model could not have predicted."""


@dataclass(frozen=True)
class Scored:
    """The probability of the last of two classes, or of the decided one of more; `decided`: it chose that class."""

    score: float
    decided: bool


@dataclass(frozen=True)
class Form:
    """The fields of a prediction: of a classification `classes`, `decision` and `probability`, else the others.

    `largest_error` caps the absolute error, in the label's unit.
    """

    kind: Literal["classification", "regression"]
    classes: tuple[Scalar, ...] = ()
    decision: str = ""
    probability: str | None = None
    value: str = ""
    largest_error: float = math.inf

    @classmethod
    def from_dict(cls, given: object) -> Form:
        """Read `answer.json` or `as_dict`; UnreadableForm names the wrong field and what is expected."""
        if not isinstance(given, Mapping):
            raise UnreadableForm(f"answer.json: got {type(given).__name__}, expected an object")
        fields = cast(Mapping[str, Any], given)
        kind = fields.get("kind")
        if kind == "classification":
            return cls._classification(fields)
        if kind == "regression":
            return cls._regression(fields)
        raise UnreadableForm(f"answer.json: kind: got {kind!r}, expected classification or regression")

    @classmethod
    def _classification(cls, fields: Mapping[str, Any]) -> Form:
        _only(fields, "kind", "classes", "decision", "probability")
        classes, probability = fields.get("classes"), fields.get("probability")
        if not isinstance(classes, Sequence) or isinstance(classes, str):
            raise UnreadableForm(f"answer.json: classes: got {classes!r}, expected a list of labels")
        labels = cast(Sequence[object], classes)
        if len(labels) < 2 or not all(isinstance(item, Scalar) for item in labels):
            raise UnreadableForm(f"answer.json: classes: got {classes!r}, expected two labels or more")
        if probability is not None and not isinstance(probability, str):
            raise UnreadableForm(f"answer.json: probability: got {probability!r}, expected a field's name, or none")
        return cls(
            "classification",
            classes=tuple(cast(Sequence[Scalar], classes)),
            decision=_field(fields, "decision"),
            probability=probability,
        )

    @classmethod
    def _regression(cls, fields: Mapping[str, Any]) -> Form:
        _only(fields, "kind", "value", "largest_error")
        largest = number(fields.get("largest_error"))
        if largest is None or largest <= 0:
            raise UnreadableForm(
                f"answer.json: largest_error: got {fields.get('largest_error')!r}, expected a number above 0"
            )
        return cls("regression", value=_field(fields, "value"), largest_error=largest)

    def as_dict(self) -> dict[str, Any]:
        """The input of `from_dict`."""
        if self.kind == "regression":
            return {"kind": self.kind, "value": self.value, "largest_error": self.largest_error}
        given = {"kind": self.kind, "classes": list(self.classes), "decision": self.decision}
        return {**given, "probability": self.probability} if self.probability else given

    def said(self, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a prediction that is compared with its label."""
        if self.kind == "regression":
            return {"value": prediction.get(self.value)}
        kept = {"decision": prediction.get(self.decision)}
        return {**kept, "probability": prediction.get(self.probability)} if self.probability else kept

    def label(self, given: object) -> Scalar:
        """The label as one of the classes (`1` is `true` of `false` and `true`), or a number.

        Raises:
            UnreadableLabel: It is none of the classes, or no finite number.
        """
        if self.kind == "regression":
            value = number(given)
            if value is None:
                raise UnreadableLabel(f"label: got {given!r}, expected a number")
            return value
        for item in self.classes:
            if _same(given, item):
                return item
        allowed = ", ".join(json.dumps(item) for item in self.classes)
        raise UnreadableLabel(f"label: got {given!r}, expected one of {allowed}")

    def losses(self, said: Said, label: Scalar) -> dict[str, float]:
        """The losses of one prediction, as `said` returned it, and its label, as `label` returned it.

        Classification: `Accuracy`, 0 or 1, and with a probability `LogLoss` in nats within [0, 5]. Regression:
        `AbsoluteError` within [0, largest_error].
        """
        if self.kind == "regression":
            value = number(said.get("value"))
            off = math.inf if value is None else abs(value - float(label))
            return {ABSOLUTE_ERROR: min(off, self.largest_error)}
        found = {ACCURACY: float(_same(said.get("decision"), label))}
        if self.probability:
            found[LOG_LOSS] = _log_loss(self._probability_of(said.get("probability"), label))
        return found

    @property
    def loss(self) -> tuple[str, float]:
        """The most informative loss, and its largest value."""
        if self.kind == "regression":
            return ABSOLUTE_ERROR, self.largest_error
        return (LOG_LOSS, WORST_LOG_LOSS) if self.probability else (ERROR, 1.0)

    @property
    def binary(self) -> bool:
        """Whether there are two classes."""
        return len(self.classes) == 2

    def scored(self, said: Said) -> Scored | None:
        """The score of a prediction; None without a valid probability."""
        decided = next((item for item in self.classes if _same(said.get("decision"), item)), None)
        if not self.probability or decided is None:
            return None
        about = self.classes[-1] if self.binary else decided
        score = self._probability_of(said.get("probability"), about)
        return Scored(score, decided is about) if score is not None and 0 <= score <= 1 else None

    def hit(self, said: Said, label: Scalar) -> bool:
        """Whether the event of `scored` occurred."""
        return _same(label, self.classes[-1] if self.binary else said.get("decision"))

    def _probability_of(self, given: object, label: Scalar) -> float | None:
        if isinstance(given, Mapping):
            name = label if isinstance(label, str) else json.dumps(label)
            return number(cast(Mapping[str, object], given).get(name))
        last = number(given)
        if last is None or not self.binary:
            return None
        return last if label == self.classes[-1] else 1 - last


def _same(given: object, label: object) -> bool:
    return given == label and isinstance(given, str) == isinstance(label, str)


def _log_loss(probability: float | None) -> float:
    if probability is None or not 0 < probability <= 1:
        return WORST_LOG_LOSS
    return min(WORST_LOG_LOSS, -math.log(probability))


def number(value: object) -> float | None:
    """A finite number as a float; None for anything else, including booleans."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _field(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise UnreadableForm(f"answer.json: {name}: got {value!r}, expected the name of a field of a prediction")
    return value


def _only(fields: Mapping[str, Any], *known: str) -> None:
    other = sorted(set(fields) - set(known))
    if other:
        raise UnreadableForm(f"answer.json: {', '.join(other)}: no such field; expected {', '.join(known)}")
