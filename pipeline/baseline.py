"""How good the model was on the data that it was evaluated on, as `monitoring` sums up labels; it is sealed too.

    found = baseline(model_folder, evaluation.answers(estimator, rows))
    canonical(found.as_dict())          # baseline.json, read by monitoring.performance.Performance.from_dict

What later labels show is held against it. Its histogram of scores tells before labels come how likely an answer with a
score is right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from monitoring.performance import Outcome, Performance
from monitoring.quality import Form, UnreadableForm, UnreadableLabel
from pipeline.contract import ContractBroken

FILE = "baseline.json"
_WHERE = "model/evaluation.py: answers(estimator, rows)"


def baseline(folder: Path, answers: Iterable[Any]) -> Performance:
    """Hold the model's answers against their labels.

    Args:
        folder: The model's, with its `answer.json`.
        answers: A prediction, as the server gives it, and its label, for each row.

    Raises:
        ContractBroken: There are none, or one is of another form than `answer.json` says.
    """
    found = Performance()
    for outcome in outcomes(form_of(folder), answers):
        found.add(outcome)
    if not found.pairs:
        raise ContractBroken([f"{_WHERE}: found no answers; expected one for each row"])
    return found


def form_of(folder: Path) -> Form:
    """What the fields of the model's predictions mean.

    Raises:
        ContractBroken: The model does not say, or in another form.
    """
    try:
        return Form.from_dict(json.loads((folder / "answer.json").read_bytes()))
    except FileNotFoundError:
        raise ContractBroken([f"model/answer.json: not found; {_WHERE} needs it"]) from None
    except UnreadableForm as error:
        raise ContractBroken([f"model/{error}"]) from None


def outcomes(form: Form, answers: Iterable[Any]) -> Iterator[Outcome]:
    """Each answer held against its label.

    Raises:
        ContractBroken: One is of another form than `answer.json` says.
    """
    return (_outcome(form, place, item) for place, item in enumerate(answers))


def _outcome(form: Form, place: int, item: Any) -> Outcome:
    try:
        prediction, label = item
    except (TypeError, ValueError):
        raise _broken(place, f"found {item!r}; expected a prediction and its label") from None
    if not isinstance(prediction, Mapping):
        raise _broken(place, f"found a prediction {prediction!r}; expected an object as the server answers it")
    said = form.said(cast(Mapping[str, Any], prediction))
    try:
        outcome = Outcome.of(form, said, form.label(label))
    except UnreadableLabel as error:
        raise _broken(place, str(error)) from None
    if form.probability and outcome.scored is None:
        raise _broken(place, f"found a prediction {prediction!r}; expected what answer.json says")
    return outcome


def _broken(place: int, text: str) -> ContractBroken:
    return ContractBroken([f"{_WHERE}: answer {place}: {text}"])
