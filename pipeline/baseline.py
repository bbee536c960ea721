"""How good the model was on the data that it was evaluated on, as `monitoring` sums up labels; it is sealed too.

    found = baseline(model_folder, evaluation.answers(estimator, rows), seconds(rows))
    canonical(found.as_dict())          # baseline.json, read by monitoring.labels.baseline.Baseline.from_dict

What later labels show is held against it. Its histogram of scores tells before labels come how likely an answer with a
score is right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from monitoring.bulk import ROWS, usual
from monitoring.labels.baseline import Baseline
from monitoring.labels.performance import Outcome, Performance
from monitoring.labels.quality import Form, UnreadableForm, UnreadableLabel
from monitoring.statistics.conformal import FEWEST
from pipeline.contract import ContractBroken

FILE = "baseline.json"
_WHERE = "model/evaluation.py: answers(estimator, rows)"


def baseline(folder: Path, answers: Iterable[Any], times: NDArray[np.float64] | None = None) -> Baseline:
    """Hold the model's answers against their labels.

    Args:
        folder: The model's, with its `answer.json`.
        answers: A prediction, as the server gives it, and its label, for each row.
        times: When each row happened, epoch seconds, shape (rows,); None when rows have no times.

    Raises:
        ContractBroken: There are none, or one is of another form than `answer.json` says.
    """
    form, found, losses = form_of(folder), Performance(), list[float]()
    loss, high = form.loss
    for outcome in outcomes(form, answers):
        found.add(outcome)
        losses.append(outcome.loss(loss))
    if not losses or (times is not None and len(losses) != len(times)):
        raise ContractBroken([f"{_WHERE}: found {len(losses) or 'no'} answers; expected one for each row"])
    return Baseline(found, usual(np.array(losses), high, times))


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


def judged(baseline: Baseline) -> str:
    """What can be said of a moved concept later, for whoever trains."""
    if baseline.usual is not None:
        return f"a moved concept is judged against {baseline.usual.means.blocks} blocks of evaluation"
    return (
        "a moved concept is not judged, so its alarm never rings: evaluation has fewer than "
        f"{FEWEST} days of rows or, where rows have no times, than {FEWEST * ROWS} rows"
    )


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
