"""Prometheus metrics of an endpoint: counters and gauges that are stored in PostgreSQL.

A counter grows in the transaction of the counted work, so no restart resets it and no repetition counts twice. Every
replica of the controller exposes the same series: take their maximum, never their sum.

A series of a variant has the label `rollout`, empty outside a trial: the variant's total is the sum over it.

Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from modelstack.monitoring.custom import SQUARED
from modelstack.monitoring.measurements import Datum, Values
from modelstack.monitoring.published import DELAY
from modelstack.platforms.kubernetes.database import Database, Run
from modelstack.platforms.kubernetes.metrics import exposed, series, whose
from modelstack.platforms.kubernetes.schema import kept

Series = tuple[str, str]  # the name of a metric, and its labels but the endpoint, as JSON with sorted keys
_DELAY = series(f"{DELAY}_seconds")
_OF = "SELECT name, endpoint, labels, value FROM"
_WHERE = "WHERE endpoint = ANY (:endpoints::text[])"
_ONCE = "INSERT INTO taken (endpoint, once) VALUES (:endpoint, :once) ON CONFLICT DO NOTHING RETURNING 1"
_READ = (
    ("counter", f"{_OF} counters {_WHERE} ORDER BY name, endpoint, labels"),
    ("gauge", f"{_OF} gauges {_WHERE} AND until > now() ORDER BY name, endpoint, labels"),
    (
        "gauge",
        f"""SELECT '{_DELAY}', endpoint, '{{}}', max(extract(epoch FROM now() - received))::float8 FROM (
            SELECT v.endpoint, c.received FROM variants AS v JOIN captures AS c USING (endpoint, variant)
            {_WHERE} AND c.number = v.joined + 1
            UNION ALL SELECT endpoint, received FROM label_files {_WHERE} AND NOT taken) AS waiting
        GROUP BY endpoint ORDER BY endpoint""",  # noqa: S608  a name of our own
    ),
)
"""Kind, and a statement for name, endpoint, labels and value, in order. The age of the oldest file that waits is
computed here, so that it grows while no controller works."""


def counter(name: str, part: str = "total", **labels: str) -> Series:
    """A counter by its name in `modelstack.monitoring.published` or the catalogue, such as `LogLoss`.

    `part` is `total` for a count; `sum`, `count` or `squared_sum` for values.
    """
    return gauge(f"{name}_{part}", **labels)


def gauge(name: str, **labels: str) -> Series:
    """A gauge; empty labels are omitted, because Prometheus treats both alike."""
    return series(name), json.dumps({key: value for key, value in sorted(labels.items()) if value})


def add(run: Run, endpoint: str, counts: Mapping[Series, float]) -> None:
    """Increase counters in the caller's transaction; 0 creates a series. A fixed order avoids deadlocks."""
    if counts:
        run(
            "INSERT INTO counters AS c (endpoint, name, labels, value) "
            "SELECT :endpoint, * FROM unnest(:names::text[], :labels::text[], :values::float8[]) "
            "ON CONFLICT (endpoint, name, labels) "
            "DO UPDATE SET value = c.value + excluded.value, changed = now()",
            endpoint=endpoint,
            **_columns(counts),
        )


def tell(run: Run, endpoint: str, levels: Mapping[Series, float], seconds: float) -> None:
    """Set gauges in the caller's transaction; each expires after so many seconds."""
    if levels:
        run(
            "INSERT INTO gauges (endpoint, name, labels, value, until) "
            "SELECT :endpoint, *, now() + make_interval(secs => :seconds) "
            "FROM unnest(:names::text[], :labels::text[], :values::float8[]) ON CONFLICT (endpoint, name, labels) "
            "DO UPDATE SET value = excluded.value, until = excluded.until",
            endpoint=endpoint,
            seconds=float(seconds),
            **_columns(levels),
        )


def _columns(values: Mapping[Series, float]) -> dict[str, list[Any]]:
    found = sorted((name, labels, float(value)) for (name, labels), value in values.items())
    return dict(zip(("names", "labels", "values"), map(list, zip(*found, strict=True)), strict=True))


@dataclass(frozen=True)
class PostgresMetrics:
    """`Metrics` of one endpoint, by counters and gauges. A gauge expires after `shown` seconds."""

    database: Database
    endpoint: str
    shown: float
    repeatable: bool = True

    def put(self, data: Sequence[Datum], values: Sequence[Values] = (), once: str = "") -> None:
        """Publish values; those with a name `once`."""
        counts, levels = defaultdict[Series, float](float), dict[Series, float]()
        for one in data:
            of = {"variant": one.variant, "feature": one.feature or "", "segment": one.segment or ""}
            if one.unit == "Count":
                counts[counter(one.name, **of)] += one.value
            else:
                levels[gauge(one.name, **of)] = one.value
        for each in values:
            of, often = {"variant": each.variant, "rollout": each.rollout}, each.counts or [1] * len(each.values)
            total = sum(value * count for value, count in zip(each.values, often, strict=True))
            counts[counter(each.name, "sum", **of)] += total
            if not each.name.endswith(SQUARED):
                counts[counter(each.name, "count", **of)] += sum(often)

        def publish(run: Run) -> None:
            if not once or run(_ONCE, endpoint=self.endpoint, once=kept(once)):
                add(run, self.endpoint, counts)
                tell(run, self.endpoint, levels, self.shown)

        self.database.together(f"publish metrics of {self.endpoint}", publish)


def text(database: Database, namespace: str, endpoints: Collection[str]) -> str:
    """All metrics of some endpoints of a namespace, or an error: a partial result would look like a restart."""
    wanted = sorted(endpoints)

    def read(run: Run) -> list[str]:
        return [line for kind, statement in _READ for line in _lines(kind, namespace, run(statement, endpoints=wanted))]

    return "".join(f"{line}\n" for line in database.together("read what is measured", read))


def _lines(kind: str, namespace: str, rows: Iterable[list[str]]) -> Iterable[str]:
    for name, group in groupby(rows, lambda row: row[0]):
        yield f"# TYPE {name} {kind}"
        for _, endpoint, labels, value in group:
            both = {**whose(namespace, endpoint), **json.loads(labels)}
            yield f"{exposed(name, both)} {_number(float(value))}"


def _number(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
