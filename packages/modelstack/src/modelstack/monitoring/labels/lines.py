"""Lines of a labels file: an inference id and the true label, or a list of labels for an answer of several predictions.

{"inference_id": "2013-03-01-UA1545-EWR", "label": true}
"""

from __future__ import annotations

import json
from typing import cast

from modelstack.monitoring.labels.quality import Scalar

LONGEST_ID = 64
LONGEST, LONGEST_ROWS = 100_000, 40_000
"""Characters of a label or of a stored answer, and of its rows: a ledger item of at most 400 kB holds a label and two
answers with their rows."""


def parse(line: bytes) -> tuple[str, str]:
    """Inference id and label (as JSON text) of a line; ValueError says what is wrong."""
    try:
        value: object = json.loads(line, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("the line is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"got {type(value).__name__}, expected an object with inference_id and label")
    fields = cast(dict[str, object], value)
    inference_id = fields.get("inference_id")
    if not isinstance(inference_id, str) or not is_id(inference_id):
        raise ValueError(f"inference_id: got {inference_id!r}, expected a text of 1 to {LONGEST_ID} characters")
    if "label" not in fields:
        raise ValueError("label: missing, expected the true label")
    label = fields["label"]
    several = cast(list[object], label) if isinstance(label, list) else [label]
    if not several or not all(isinstance(item, Scalar) for item in several):
        raise ValueError(f"label: got {label!r}, expected true, false, a number, a text, or a list of these")
    text = json.dumps(label)
    if len(text) > LONGEST:
        raise ValueError(f"label: {len(several):,} values of {len(text):,} characters, at most {LONGEST:,} are kept")
    return inference_id, text


def is_id(text: str) -> bool:
    """Whether a text can be an inference id: of allowed length and without lone surrogates."""
    return 0 < len(text) <= LONGEST_ID and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
