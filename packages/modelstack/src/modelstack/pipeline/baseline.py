"""The sealed baseline of a model: its quality on the evaluation rows, in the sums that `monitoring` uses for labels.

Later labels are compared with it. Its histogram of scores gives the expected accuracy of answers before labels arrive.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from modelstack.monitoring.bulk import ROWS, are_waves, usual
from modelstack.monitoring.labels.baseline import Baseline
from modelstack.monitoring.labels.concept import DAY, FALSE_ALARMS, LOSS_RISE, Tolerated
from modelstack.monitoring.labels.performance import LabelScore, Performance
from modelstack.monitoring.labels.quality import Form, UnreadableForm, UnreadableLabel
from modelstack.monitoring.labels.reach import in_words, reach
from modelstack.monitoring.statistics.conformal import FEWEST
from modelstack.pipeline.contract import ContractBroken

_HOUR = 3600.0
_WHERE = "model/serving.py: predict(model, rows)"


def baseline(
    form: Form,
    found: Sequence[LabelScore],
    times: NDArray[np.float64] | None = None,
    before: NDArray[np.float64] | None = None,
) -> Baseline:
    """Sum up answers that were compared with their labels.

    `times` are epoch seconds, shape (rows,), or None; `before` the same of the training rows. Both decide whether times
    are those of waves.
    """
    whole = Performance()
    loss, high = form.loss
    for outcome in found:
        whole.add(outcome)
    waves = times is not None and are_waves(times, before)
    losses = np.array([outcome.loss(loss) for outcome in found])
    return Baseline(whole, usual(losses, high, times, waves=waves))


def form_of(folder: Path) -> Form | None:
    """The meaning of a prediction's fields, from `answer.json` in a folder; None without it, and refuses a bad one."""
    try:
        return Form.from_dict(json.loads((folder / "answer.json").read_bytes()))
    except FileNotFoundError:
        return None
    except UnreadableForm as error:
        raise ContractBroken([f"model/{error}"]) from None


def outcomes(form: Form, answers: Iterable[Any], labels: Sequence[Any]) -> list[LabelScore]:
    """Compare each answer with its label; raises ContractBroken if one does not match `answer.json` or is missing."""
    given = list(answers)
    if len(given) != len(labels):
        raise ContractBroken([f"{_WHERE}: found {len(given):,} answers of {len(labels):,} rows; expected one for each"])
    return [_outcome(form, place, *item) for place, item in enumerate(zip(given, labels, strict=True))]


def judged(baseline: Baseline) -> str:
    """Message for the trainer: how later changes of the concept will be judged."""
    usual = baseline.usual
    if usual is None:
        return (
            "a moved concept is not tested, so its alarm cannot fire: evaluation has fewer than "
            f"{FEWEST} days of rows or, where rows have no times or those of waves, than {FEWEST * ROWS} rows"
        )
    days = usual.cut.span / DAY
    size = (
        f"{days:.0f} days each" if days > 1 else f"{usual.cut.rows} rows each, cut within a wave" if usual.wave else ""
    )
    tolerated = Tolerated.of(usual, share=LOSS_RISE, false_alarms=FALSE_ALARMS, late_days=1, every=_HOUR)
    return (
        f"a moved concept is judged against {usual.means.blocks} blocks of evaluation{f' ({size})' if size else ''}; "
        f"with the default settings {in_words(reach(tolerated))}"
    )


def _outcome(form: Form, place: int, prediction: Any, label: Any) -> LabelScore:
    if not isinstance(prediction, Mapping):
        raise _broken(place, f"found a prediction {prediction!r}; expected an object as the server answers it")
    said = form.said(cast(Mapping[str, Any], prediction))
    try:
        outcome = LabelScore.of(form, said, form.label(label))
    except UnreadableLabel as error:
        raise _broken(place, str(error)) from None
    if form.probability and outcome.scored is None:
        raise _broken(place, f"found a prediction {prediction!r}; expected what answer.json says")
    return outcome


def _broken(place: int, text: str) -> ContractBroken:
    return ContractBroken([f"{_WHERE}: answer {place}: {text}"])
