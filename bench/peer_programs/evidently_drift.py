"""Seconds of CPU that Evidently's preset for drift takes: `python evidently_drift.py FILE`; see bench.peers."""

import json
import sys
import time

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

given = np.load(sys.argv[1])
frames = {
    side: pd.DataFrame({key.partition("/")[2]: given[key] for key in given.files if key.startswith(f"{side}/")})
    for side in ("training", "later")
}
spent = []
for _ in range(3):
    begun = time.process_time()
    snapshot = Report([DataDriftPreset()]).run(frames["later"], frames["training"])
    drifted = len(snapshot.dict()["metrics"])
    spent.append(time.process_time() - begun)
print(json.dumps({"seconds": sorted(spent)[1], "metrics": drifted}))
