"""A batch of joined labels as JSON values, which any platform claims and counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from modelstack.monitoring.custom import SQUARED, Tally
from modelstack.monitoring.labels.pairs import Batch, JoinedRow
from modelstack.monitoring.labels.quality import ABSOLUTE_ERROR, LOG_LOSS
from modelstack.monitoring.labels.scores import Scores
from modelstack.monitoring.measurements import Datum, Values
from modelstack.rollout.core.catalogue import FAILURES, INVALID

_SQUARES = {name: f"{name}{SQUARED}" for name in (LOG_LOSS, ABSOLUTE_ERROR)}


def content(batch: Batch, rows: Mapping[str, JoinedRow], counts: Counter[str]) -> dict[str, Any]:
    """The JSON values of a batch that are claimed together."""
    checked = [
        {"variant": batch.variant, "trial": trial, "invalid": invalid, "answers": answers}
        for (trial, invalid), answers in batch.checked.items()
    ]
    custom = [[trial, name, *tally.as_list()] for (trial, name), tally in batch.custom.items()]
    return {
        **({"custom": custom} if custom else {}),
        "variant": batch.variant,
        "rows": [{"id": name, **vars(row)} for name, row in rows.items()],
        "checked": checked,
        "counts": +counts,
        "answered": batch.answered.as_dict(),
    }


def holds(content: Mapping[str, Any]) -> bool:
    """Whether a batch holds anything to send or store."""
    return any(content[name] for name in ("rows", "checked", "counts", "answered"))


def rows_of(content: Mapping[str, Any]) -> list[tuple[str, JoinedRow]]:
    """The joined answers of a batch, by their inference ids."""
    return [
        (row["id"], JoinedRow(**{key: value for key, value in row.items() if key != "id"})) for row in content["rows"]
    ]


def answered_of(content: Mapping[str, Any]) -> Scores:
    """The scores of a batch's answers."""
    return Scores.from_dict(content["answered"], "answered")


def custom_of(content: Mapping[str, Any]) -> dict[tuple[str, str], Tally]:
    """The values of custom metrics in a batch, by rollout (empty without one) and published name."""
    found: dict[tuple[str, str], Tally] = {}
    parts = [((trial or "", name), parts) for trial, name, *parts in content.get("custom", ())]
    for row in content["rows"]:
        parts += [((row["trial"] or "", name), tally) for name, tally in row.get("custom", {}).items()]
    for key, tally in parts:
        found.setdefault(key, Tally()).merge(Tally.from_list(tally))
    return found


def measured(content: Mapping[str, Any], at: float) -> tuple[list[Datum], list[Values]]:
    """Counts and values that a batch publishes, with their time `at` in epoch seconds."""
    losses: dict[tuple[str, str, str], list[float]] = {}
    for row in content["rows"]:
        of = str(row["variant"]), str(row["trial"] or "")
        for name, values in row["losses"].items():
            losses.setdefault((name, *of), []).extend(values)
            if name in _SQUARES:
                losses.setdefault((_SQUARES[name], *of), []).extend(loss * loss for loss in values)
    found = [Values(*of, values, at) for of, values in losses.items()]
    found += [
        Values(INVALID, item["variant"], item["trial"] or "", [float(item["invalid"])], at, [item["answers"]])
        for item in content["checked"]
    ]
    for (rollout, name), tally in custom_of(content).items():
        of = content["variant"], rollout
        if tally.count:
            means = {name: tally.total, f"{name}{SQUARED}": tally.squares}
            found += [Values(one, *of, [total / tally.count], at, [tally.count]) for one, total in means.items()]
        if tally.failed:
            found.append(Values(f"{name}{FAILURES}", *of, [1.0], at, [tally.failed]))
    return [Datum(name, "", count, "Count", at) for name, count in content["counts"].items()], found
