from __future__ import annotations

import hashlib
import json
from math import nan

import numpy as np

from modelstack.monitoring.bulk import DAY, ROWS
from modelstack.monitoring.drift.reference import Reference
from modelstack.monitoring.statistics.blocks import Cut
from modelstack.monitoring.statistics.profile import Categorical, Numeric
from modelstack.pipeline import archive
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.rows import Rows
from modelstack.pipeline.train import judged, reference


def two_months(rows: int = 40) -> Rows:
    source = np.random.default_rng(5)
    number = 60 * rows
    carrier = source.choice(np.array(["UA", "B6", None], object), number, p=[0.6, 0.3, 0.1])
    times = np.datetime64("2013-01-01") + np.repeat(np.arange(60), rows).astype("timedelta64[D]")
    return Rows.of(
        {"distance": source.gamma(2, 500, number), "carrier": carrier, "event_time": times, "label_at": times}
    )


def test_any_array_of_numbers_is_numeric_and_any_of_codes_is_categorical():
    found = reference(
        Rows.of(
            {
                "whole": np.array([1, 2, 2]),
                "yes": np.array([True, False, True]),
                "objects": np.array([1, None, 2.5], object),
                "text": np.array(["a", "b", "b"]),
                "mixed": np.array(["a", nan, None], object),
                "listed": [1.0, 2.0, nan],
                "none": np.full(3, nan),
            }
        )
    ).profile.columns
    numeric = [name for name, column in found.items() if isinstance(column, Numeric)]
    assert numeric == ["whole", "objects", "listed", "none"]
    assert [found[name].missing for name in found] == [0, 0, 1, 0, 2, 1, 3]
    text = found["text"]
    assert isinstance(text, Categorical)
    assert (text.codes, text.counts) == (("a", "b"), (1, 2, 0))


def test_rows_with_times_are_cut_into_days_and_those_without_into_small_blocks():
    rows = two_months()
    dated = reference(rows).null
    assert (dated.cut, dated.scores["distance"]["level"].blocks) == (Cut(DAY, 40), 60)
    undated = reference(Rows.of(rows.columns)).null
    assert (undated.cut, undated.scores["distance"]["level"].blocks) == (Cut(0, ROWS), 96)


def test_the_bytes_of_a_reference_never_change_without_the_format():
    """If this fails, the same recipe gives other bytes than before: raise modelstack.pipeline.recipe.FORMAT,
    and this digest.
    """
    text = canonical(reference(two_months()).as_dict())
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "2fc63adacc8ea23608301e81f7d5ed262615f27e2986d5cfeecf3427b08ef5a0"
    )
    assert Reference.from_dict(json.loads(text)).as_dict() == reference(two_months()).as_dict()


def test_training_says_of_how_many_blocks_drift_is_judged_or_that_it_is_not():
    assert judged(reference(two_months())) == "drift is judged against 60 blocks of training"
    few = reference(Rows.of({"x": np.arange(100.0)}))
    assert judged(few) == (
        "drift is reported but not tested, so its alarm cannot fire: training has fewer than 20 days of rows or, "
        "where rows have no times, than 500 rows"
    )


def test_the_sealed_reference_covers_every_feature_of_the_model(sealed):
    from model.features import FEATURES

    found = Reference.from_dict(json.loads(archive.read(sealed.path, "reference.json")))
    kinds = {Numeric: "numeric", Categorical: "categorical"}
    assert {name: kinds[type(column)] for name, column in found.profile.columns.items()} == {
        name: "categorical" if "pattern" in feature else "numeric" for name, feature in FEATURES.items()
    }
    assert found.null.cut.span == DAY
