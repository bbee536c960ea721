"""Checks of captured answers against the model's contract, without labels.

    violation(form, item)    # "predictions[0].probability: got null, expected a number from 0 to 1"

Every answer must be finite, not empty, and JSON if its content type says so. With an `answer.json`, a JSON answer also
needs one prediction per instance, with the named fields in their type and range. Other fields are allowed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from modelstack.monitoring import captured
from modelstack.monitoring.captured import Malformed, Recorded
from modelstack.monitoring.labels.quality import Form, number
from modelstack.rollout.core.answers import OTHER, broken, read_json


def violation(form: Form | Malformed, item: Recorded) -> str | None:
    """What is wrong with an answer; None if it is valid or not captured. `form` may say why it is unknown."""
    if item.answered is None:
        return None
    wrong = broken(item.answered.body)
    if wrong or not _is_json(item.answered.content_type):
        return wrong
    if read_json(item.answered.body) is OTHER:
        return "the answer is no JSON"
    return None if isinstance(form, Malformed) else _unlike(form, item)


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower().endswith(("/json", "+json"))


def _unlike(form: Form, item: Recorded) -> str | None:
    said, asked = captured.predictions(item), captured.instances(item)
    if isinstance(said, Malformed):
        return said.why
    if not isinstance(asked, Malformed) and len(asked) != len(said):
        return f"predictions: got {len(said)} of them, expected {len(asked)}, one an instance"
    for place, row in enumerate(said):
        wrong = _of_value(form, row) if form.kind == "regression" else _of_class(form, row)
        if wrong:
            return f"predictions[{place}].{wrong}"
    return None


def _of_value(form: Form, row: Mapping[str, Any]) -> str | None:
    value = row.get(form.value)
    return None if number(value) is not None else f"{form.value}: got {_shown(value)}, expected a number"


def _of_class(form: Form, row: Mapping[str, Any]) -> str | None:
    decided = row.get(form.decision)
    if not any(decided == item and isinstance(decided, str) == isinstance(item, str) for item in form.classes):
        return f"{form.decision}: got {_shown(decided)}, expected one of {', '.join(map(json.dumps, form.classes))}"
    if not form.probability:
        return None
    given = row.get(form.probability)
    if not isinstance(given, Mapping):
        return _of_probability(form.probability, given)
    each = cast(Mapping[str, object], given)
    names = [item if isinstance(item, str) else json.dumps(item) for item in form.classes]
    return next(
        (wrong for name in names if (wrong := _of_probability(f"{form.probability}.{name}", each.get(name)))), None
    )


def _of_probability(name: str, given: object) -> str | None:
    value = number(given)
    if value is not None and 0 <= value <= 1:
        return None
    return f"{name}: got {_shown(given)}, expected a number from 0 to 1"


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
