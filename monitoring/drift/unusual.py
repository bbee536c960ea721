"""Counts of values that training never had, or that are missing although training had them.

These are facts, not evidence of drift: see `monitoring.drift.shift`. The feature None is the sum over all features.
"""

from __future__ import annotations

from collections import Counter

from monitoring.published import MISSING, NEW_CODES, OUT_OF_RANGE, SCHEMA
from monitoring.statistics.statistic import Numbers, Statistic

Unusual = Counter[tuple[str, str | None]]


def unusual(seen: Statistic) -> Unusual:
    """Count by metric and feature; zero counts are left out."""
    found: Unusual = Counter({(SCHEMA, None): seen.no_objects + seen.fields.total})
    for name, tally in seen.features.items():
        always_there = seen.profile.columns[name].missing == 0
        here = {MISSING: tally.missing + tally.absent, SCHEMA: tally.wrong + (tally.absent if always_there else 0)}
        if isinstance(tally, Numbers):
            here[OUT_OF_RANGE] = tally.below + tally.above
        else:
            here[NEW_CODES] = tally.new.total
        for metric, count in here.items():
            found[metric, name] += count
            found[metric, None] += count
    return +found
