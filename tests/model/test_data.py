"""The data: nothing of the future, nothing out of range."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from model import data, sources
from model.features import FEATURES, NAMES
from model.parameters import Parameters, retrained
from modelstack.pipeline import parts
from modelstack.pipeline.rows import Rows
from modelstack.serving.declaration import Declaration
from modelstack.serving.instances import Reader
from modelstack.serving.parameter_types import parse as parse_as


def parse(given: dict) -> Parameters:
    return parse_as(Parameters, given)


@pytest.fixture(scope="module")
def training() -> Rows:
    return Rows.of(data.training(parse({})))


@pytest.fixture(scope="module")
def evaluation() -> Rows:
    return Rows.of(data.evaluation(parse({})))


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return pd.read_csv(sources.files()["flights.csv.zip"])


@pytest.mark.slow
def test_training_knows_only_labels_that_were_known_by_its_end(training: Rows):
    assert training.event_time.min() >= np.datetime64("2013-01-01")
    assert training.label_at.max() < np.datetime64("2013-03-01")
    assert len(training) > 45_000


def test_evaluation_begins_where_training_ends(training: Rows, evaluation: Rows):
    assert evaluation.event_time.min() >= np.datetime64("2013-03-01") > training.event_time.max()
    assert not set(training.id) & set(evaluation.id)


@pytest.mark.slow
@pytest.mark.parametrize("through", ["2013-04-03", "2013-09-22", "2014-01-01"])
def test_retraining_uses_nothing_that_came_to_be_known_after_its_day(through: str):
    parameters = parse(retrained(Parameters(), date.fromisoformat(through)) or {})
    learned, judged = Rows.of(data.training(parameters)), Rows.of(data.evaluation(parameters))
    assert max(learned.label_at.max(), judged.label_at.max()) < np.datetime64(through)
    assert max(learned.event_time.max(), learned.label_at.max()) <= judged.event_time.min()
    served = data.refit(parameters)
    assert served.label_at.max() < np.datetime64(parameters.known_until) < np.datetime64(through)
    assert {*learned.id} < {*served.id}
    assert len(served) > len(learned) + 0.9 * len(judged)


def test_what_was_evaluated_serves_where_no_second_fit_is_asked_for():
    assert data.refit(parse({})) is None


@pytest.mark.slow
def test_every_label_of_the_year_is_known_a_day_after_the_day_of_its_flight():
    year = Rows.of(data.evaluation(parse({"evaluate_from": "2013-03-01", "evaluate_until": "2013-12-31"})))
    early = Rows.of(data.evaluation(parse({"train_until": "2013-01-02", "evaluate_from": "2013-01-02"})))
    for rows in (early, year):
        known_by = rows.event_time.astype("datetime64[D]") + np.timedelta64(2, "D")
        assert (rows.label_at < known_by).all()


def test_on_the_day_before_its_own_a_retraining_would_know_of_too_few_late_flights():
    # Why the newest day is left out: what has landed by midnight is more punctual than the whole day.
    day = Rows.of(data.evaluation(parse({"evaluate_from": "2013-07-10", "evaluate_until": "2013-07-11"})))
    landed = day.label_at < np.datetime64("2013-07-11")
    assert day.label[landed].mean() < day.label.mean() - 0.02


def test_rows_are_in_order_of_time_and_have_names_of_their_own(training: Rows):
    assert (np.diff(training.event_time) >= np.timedelta64(0)).all()
    assert len(set(training.id)) == len(training)


@pytest.mark.slow
def test_late_is_more_than_fifteen_minutes(training: Rows, raw: pd.DataFrame):
    delay = {
        f"2013-{row.month:02}-{row.day:02}-{row.carrier}{row.flight}-{row.origin}": row.arr_delay
        for row in raw[raw.month <= 2].itertuples()
    }
    assert all((delay[name] > 15) == late for name, late in zip(training.id, training.label, strict=True))


def test_a_flight_is_found_as_the_source_has_it():
    # United 1545, 1 January: scheduled 05:15 in Newark (10:15 UTC) to 08:19 in Houston (14:19 UTC), 11 minutes late.
    flight = next(flight for flight in data.replay("2013-01-01", "2013-01-02") if flight.id == "2013-01-01-UA1545-EWR")
    assert flight.event_time == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert flight.label_at == datetime(2013, 1, 1, 14, 30, tzinfo=UTC)
    assert flight.label is False
    expected = {"carrier": "UA", "origin": "EWR", "dest": "IAH", "departure_hour": 5.25, "day_of_week": 2.0}
    assert expected.items() <= flight.instance.items()


@pytest.mark.parametrize("day", ["2013-01-15", "2013-07-15"])
def test_labels_come_when_the_flight_has_landed_in_winter_and_in_summer(day: str, raw: pd.DataFrame):
    after = str((pd.Timestamp(day) + timedelta(days=1)).date())
    found = {flight.id: flight for flight in data.replay(day, after)}
    checked = 0
    for row in raw[(raw.month == int(day[5:7])) & (raw.day == 15) & raw.arr_delay.notna()].itertuples():
        flight = found.get(f"{day}-{row.carrier}{row.flight}-{row.origin}")
        if flight is not None and flight.label_at is not None:
            in_the_air = timedelta(minutes=row.dep_delay + row.air_time)
            taxi = flight.label_at - flight.event_time - in_the_air
            assert timedelta(0) < taxi < timedelta(hours=3), flight
            checked += 1
    assert checked > 600


def test_weather_is_the_last_observation_before_departure(evaluation: Rows):
    weather = pd.read_csv(sources.files()["weather.csv"])
    weather["at"] = pd.to_datetime(weather["time_hour"]).dt.tz_localize(None)
    by_origin = {origin: rows.sort_values("at") for origin, rows in weather.groupby("origin")}
    for row in range(0, len(evaluation), 997):
        seen = by_origin[evaluation.columns["origin"][row]]
        last = seen[seen["at"] <= pd.Timestamp(evaluation.event_time[row])].iloc[-1]
        assert evaluation.columns["temperature"][row] == last["temp"]


def test_a_cancelled_flight_is_replayed_without_a_label_and_is_not_learned_from(raw: pd.DataFrame):
    on_the_day = raw[raw.time_hour.str.startswith("2013-03-06")]
    never_arrived = on_the_day[on_the_day.arr_delay.isna()]
    replayed = list(data.replay("2013-03-06", "2013-03-07"))
    without = [flight for flight in replayed if flight.label is None]
    assert len(without) == len(never_arrived) > 100
    assert all(flight.label_at is None for flight in without)
    learned = Rows.of(data.evaluation(parse({"evaluate_from": "2013-03-06", "evaluate_until": "2013-03-07"})))
    assert len(learned) == len(replayed) - len(without)


@pytest.mark.slow
def test_every_replayed_flight_is_a_request_that_the_check_accepts():
    reader = Reader(Declaration.from_dict(parts.declared(Rows.of(data.training(parse({}))))))
    for day in ("2013-03-08", "2013-07-08", "2013-12-31"):
        after = str((pd.Timestamp(day) + timedelta(days=1)).date())
        for flight in data.replay(day, after):
            assert len(reader.documents([flight.instance])) == 1


@pytest.mark.slow
def test_the_storm_that_never_blew_is_missing():
    # The source has a wind of 1,048 mph in Newark on 12 February, 03:00 local.
    rows = Rows.of(data.training(parse({})))
    at = (rows.event_time >= np.datetime64("2013-02-12")) & (rows.event_time < np.datetime64("2013-02-13"))
    assert np.nanmax(rows.columns["wind_speed"][at]) < 60


def test_columns_are_the_features_in_their_types(training: Rows):
    assert tuple(training.columns) == NAMES
    for name, feature in FEATURES.items():
        assert training.columns[name].dtype == (object if "pattern" in feature else float)
    assert training.table.shape == (len(training), len(FEATURES))
