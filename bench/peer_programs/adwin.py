"""Rows until River's ADWIN tells a drift, by stream: `python adwin.py FILE`; see bench.peers.

The file has `warm`, shape (rows, columns), on which each detector starts; `quiet`, shape (streams, rows, columns), by
which the largest delta is chosen that fires in at most the share `alpha` of them; and `moved:<name>` of the same shape.
NaN is no value. With `rises` only changes upward fire.
"""

import json
import sys
from copy import deepcopy
from math import isnan

import numpy as np
from river.drift import ADWIN

DELTAS = (0.05, 0.01, 2e-3, 2e-4, 2e-5, 2e-6)


def warmed(delta, warm):
    detectors = [ADWIN(delta=delta) for _ in range(warm.shape[1])]
    for detector, column in zip(detectors, warm.T.tolist(), strict=True):
        for value in column:
            if not isnan(value):
                detector.update(value)
    return detectors


def fires(detectors, stream):
    """The row at which one of the columns fires first; None if none does."""
    detectors = deepcopy(detectors)
    for place, row in enumerate(stream.tolist()):
        for detector, value in zip(detectors, row, strict=True):
            if not isnan(value):
                before = detector.estimation
                detector.update(value)
                if detector.drift_detected and (not RISES or detector.estimation > before):
                    return place
    return None


given = np.load(sys.argv[1])
RISES = "rises" in given.files
quiet, alpha = given["quiet"], float(given["alpha"])
for delta in DELTAS:
    ready = warmed(delta, given["warm"])
    falsely = sum(fires(ready, stream) is not None for stream in quiet)
    if falsely <= alpha * len(quiet):
        break
told = {
    key.partition(":")[2]: [fires(ready, stream) for stream in given[key]]
    for key in given.files
    if key.startswith("moved:")
}
print(json.dumps({"delta": delta, "falsely": falsely / len(quiet), "rows": told}))
