"""Searches a prediction by id through the controller, a part of the captures at a time."""

from __future__ import annotations

from contextlib import suppress

from cli.errors import explained
from monitoring.predictions import Prediction, Searched, Window
from platforms.kubernetes.api import Api
from platforms.kubernetes.controller_client import ControllerClient
from platforms.kubernetes.kinds import ROLLOUT
from platforms.kubernetes.prediction_query import PredictionQuery
from platforms.kubernetes.spec import RolloutSpec
from rollout.core.errors import RolloutError


def find(client: ControllerClient, api: Api, endpoint: str, word: str, window: Window) -> Searched:
    """Search an id or the beginning of one; OperatorError if the controller does not answer."""
    exact: dict[Prediction, None] = {}
    begun: dict[Prediction, None] = {}
    files, oldest = 0, None
    with explained("looking for a prediction"):
        for part in client.predictions(endpoint, PredictionQuery(word, window=window)):
            exact |= dict.fromkeys(map(Prediction.from_dict, part["exact"]))
            begun |= dict.fromkeys(map(Prediction.from_dict, part["begun"]))
            files += part["files"]
            oldest = part["oldest"] or oldest
    places = ("the ledger of labels and the event ids in PostgreSQL", f"{files:,} files of captures there")
    percent = None if exact or begun else _percent(api, endpoint)
    return Searched(tuple(exact), tuple(begun), places, oldest=oldest, percent=percent)


def _percent(api: Api, endpoint: str) -> float | None:
    """The percentage of requests that is captured now; None if unknown."""
    with suppress(RolloutError):
        return RolloutSpec.from_dict(api.get(ROLLOUT, endpoint)["spec"]).capture_percent
    return None
