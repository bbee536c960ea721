"""Two hundred rows a day: until day 30 a positive x means yes, later a negative one."""

from __future__ import annotations

from typing import Any

import numpy as np

from model.parameters import EVALUATED, Parameters

DAYS, ROWS, TURNS = 60, 200, 30


Table = dict[str, Any]


def training(parameters: Parameters) -> Table:
    return _rows(parameters, 0, parameters.until)


def evaluation(parameters: Parameters) -> Table:
    return _rows(parameters, parameters.until, parameters.until + EVALUATED)


def refit(parameters: Parameters) -> Table | None:
    return _rows(parameters, 0, parameters.until + EVALUATED) if parameters.refit else None


def _rows(parameters: Parameters, first: int, end: int) -> Table:
    random = np.random.default_rng(20130101)
    x = random.normal(size=DAYS * ROWS)
    day = np.repeat(np.arange(DAYS), ROWS)
    yes = (x * np.where(day < TURNS, 1, -1) + random.normal(size=len(x))) > 0
    chosen = (day >= first) & (day < end)
    table = {"x": x[chosen], "label": yes[chosen]}
    if not parameters.timed:
        return {**table, "id": np.flatnonzero(chosen).astype(str)}
    within = np.tile(np.arange(ROWS), DAYS) * np.timedelta64(60, "s")
    at = (np.datetime64("2013-01-01", "s") + day * np.timedelta64(86400, "s") + within)[chosen]
    return {**table, "event_time": at, "label_at": at + np.timedelta64(600, "s")}
