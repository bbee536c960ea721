"""Tries the metrics of `monitoring/` without a label on captured files: `python -m modelstack.monitoring FILE...`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from modelstack.monitoring.captured import instances, predictions
from modelstack.monitoring.custom import FOLDER, CustomMetricError, Tally, load
from modelstack.monitoring.exchanges import traffic


def tried(folder: Path, files: list[Path]) -> Iterator[str]:
    """A line for each metric: its mean and interval, and how often its function failed. Raises `CustomMetricError`."""
    metrics, found = load(folder), dict[str, Tally]()
    for item in (item for path in files for item in traffic(path.read_bytes().splitlines())):
        for name, tally in metrics.observe(instances(item), predictions(item)).items():
            found.setdefault(name, Tally()).merge(tally)
    for name, tally in found.items():
        metric = metrics.each[name]
        known = "{0.value:.4g} ({0.low:.4g} to {0.high:.4g})".format(metric.interval(tally)) if tally.count else "-"
        failed = f", failed for {tally.failed:,}: {tally.why}" if tally.failed else ""
        yield f"{metric.name}  {known}, of {tally.count:,} predictions{failed}"


if __name__ == "__main__":
    try:
        sys.stdout.writelines(f"{line}\n" for line in tried(Path(FOLDER), [Path(name) for name in sys.argv[1:]]))
    except (CustomMetricError, OSError) as error:
        sys.exit(str(error))
