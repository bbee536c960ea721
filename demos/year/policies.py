"""What if nobody had retrained, and what if somebody had on the first of each month? Without an endpoint.

    python -m demos.year.policies --parameters '{"max_iter": 60}' --since 2013-03-01 --until 2014-01-01 --out FOLDER

Both by the model's own code, its seed fixed. `never` is the model that the year begins with. `monthly` is fitted anew
on the first of each month, on all rows whose label was known by then, and serves at once. Writes `losses.json`:
policy -> row's id -> loss of the answer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import model
from demos.year.losses import Losses, form, loss
from demos.year.plan import Plan
from model import data, training
from model.parameters import Parameters
from modelstack.pipeline import parts
from modelstack.pipeline.rows import Rows, as_json
from modelstack.pipeline.step import end_with_parent
from modelstack.serving.parameter_types import parse

FILE = "losses.json"
NEVER, MONTHLY = "never", "monthly"


def main(arguments: list[str] | None = None) -> None:
    """Run both policies over a stretch."""
    parser = argparse.ArgumentParser(description="Score what other policies of retraining would have answered.")
    parser.add_argument("--parameters", required=True, help="JSON object")
    parser.add_argument("--since", required=True)
    parser.add_argument("--until", required=True)
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args(arguments)
    end_with_parent()
    settings = parse(Parameters, json.loads(given.parameters))
    found = both(settings, Plan(given.since, given.until))
    (given.out / FILE).write_text(json.dumps(found))


def both(settings: Parameters, plan: Plan) -> dict[str, Losses]:
    """The losses of both policies over the plan's days."""
    found: dict[str, Losses] = {NEVER: {}, MONTHLY: {}}
    never = monthly = _fitted(settings)
    for since, until in plan.months:
        start, end = date.fromisoformat(since), date.fromisoformat(until)
        window = replace(settings, train_until=start, evaluate_from=start, evaluate_until=end, refit=False)
        if start.day == 1 and start != settings.known_until:
            monthly = _fitted(window)
        rows = Rows.of(data.evaluation(window))
        for policy, estimator in ((NEVER, never), (MONTHLY, monthly)):
            found[policy].update(_losses(estimator, rows))
    return found


def _fitted(settings: Parameters) -> Any:
    again = data.refit(settings)
    rows, more = Rows.of(data.training(settings)), None if again is None else Rows.of(again)
    print(f"fitting on {len(rows if more is None else more):,} rows until {settings.known_until}")
    trained = training.train(rows, settings, progress=lambda text: None)
    return (trained if more is None else training.refit(more, settings, trained, lambda text: None)).estimator


def _losses(estimator: Any, rows: Any) -> Iterator[tuple[str, float]]:
    said = form(Path(model.__file__).parent)
    for name, label, prediction in zip(rows.id, rows.label, parts.answers(estimator, rows, {}) or (), strict=True):
        yield str(name), loss(said, prediction, as_json(label))


if __name__ == "__main__":
    main()
