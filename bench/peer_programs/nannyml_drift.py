"""Seconds of CPU that NannyML's univariate calculators take: `python nannyml_drift.py FILE`; see bench.peers.

`seconds` is of those that together tell what ours does: a test and a distance of each feature, missing and new values,
means and deviations. `alone` is of the default distance by itself.
"""

import json
import sys
import time

import nannyml
import numpy as np
import pandas as pd

given = np.load(sys.argv[1])
frames = {
    side: pd.DataFrame({key.partition("/")[2]: given[key] for key in given.files if key.startswith(f"{side}/")})
    for side in ("training", "later")
}
later = frames["later"]
codes = [name for name in later if later[name].dtype == object]
numbers = [name for name in later if name not in codes]
every = {"chunk_size": len(later)}
alone = nannyml.UnivariateDriftCalculator(column_names=list(later.columns), **every)
calculators = [
    nannyml.UnivariateDriftCalculator(
        column_names=list(later.columns),
        continuous_methods=["kolmogorov_smirnov", "jensen_shannon"],
        categorical_methods=["chi2", "jensen_shannon"],
        **every,
    ),
    nannyml.MissingValuesCalculator(column_names=list(later.columns), **every),
    nannyml.UnseenValuesCalculator(column_names=codes, **every),
    nannyml.SummaryStatsAvgCalculator(column_names=numbers, **every),
    nannyml.SummaryStatsStdCalculator(column_names=numbers, **every),
]


def spent(used):
    """The median of three; fitting is not counted, as ours is sealed at training."""
    found = []
    for _ in range(3):
        begun = time.process_time()
        for calculator in used:
            calculator.calculate(later)
        found.append(time.process_time() - begun)
    return sorted(found)[1]


for calculator in (alone, *calculators):
    calculator.fit(frames["training"])
print(json.dumps({"seconds": spent(calculators), "alone": spent([alone])}))
