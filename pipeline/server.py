"""Answers requests with a scikit-learn estimator.

    GET  /ping         200 once the estimator is loaded
    POST /invocations  {"instances": [{"alcohol": 14.2, ...}]} -> {"predictions": [{"prediction": "class_0", ...}]}

A request is checked before anything is predicted; an error names the field, the value and what is allowed. This is
`serving.py` of each model that brings none of its own: it is sealed with the model's code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import joblib
import numpy as np
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

MAX_BODY_BYTES = 6 * 1024 * 1024
MAX_INSTANCES = 1000
SHOWN_PROBLEMS = 20
DECISION, PROBABILITY = "prediction", "probability"
_ALLOWED = {"number": "a number", "boolean": "true or false", "text": "a text"}

Features = Sequence[Mapping[str, Any]]
"""`name`, `kind` (number, boolean or text) and `optional` of each feature, in the order of the estimator's input."""


class BadRequest(ValueError):
    """The request cannot be answered; `status` says which way, `problems` has a line for each reason."""

    def __init__(self, status: int, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.status, self.problems = status, problems


def main(folder: Path, host: str, port: int) -> None:
    """Serve the model of an unpacked, verified archive until SIGTERM."""
    estimator: Any = cast(Any, joblib).load(folder / "model.joblib")
    features = json.loads((folder / "features.json").read_bytes())
    uvicorn.run(app(estimator, features), host=host, port=port, log_level="warning", timeout_keep_alive=120)


def app(estimator: Any, features: Features) -> Starlette:
    """The ASGI application of a loaded estimator."""

    async def ping(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ready"})

    async def invocations(request: Request) -> JSONResponse:
        try:
            table = parse(await _body(request), features)
        except BadRequest as error:
            return JSONResponse(
                {"error": error.problems[0], "problems": error.problems[:SHOWN_PROBLEMS]}, status_code=error.status
            )
        return JSONResponse({"predictions": list(_answers(estimator, table))})

    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=500)

    routes = [Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])]
    return Starlette(routes=routes, exception_handlers={Exception: failed})


def parse(body: bytes, features: Features) -> NDArray[Any]:
    """Turn a request into the estimator's input, shape (instances, features).

    Raises:
        BadRequest: Something is wrong with it.
    """
    try:
        document: Any = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(400, f"the body is not JSON: {error}") from None
    given = cast(Any, document["instances"]) if isinstance(document, dict) and [*document] == ["instances"] else None
    instances = cast(list[Any], given) if isinstance(given, list) else []
    if not 1 <= len(instances) <= MAX_INSTANCES:
        raise BadRequest(400, f'expected {{"instances": [...]}} with 1 to {MAX_INSTANCES} objects')
    problems = [f"instances[{row}]{line}" for row, one in enumerate(instances) for line in _wrong(one, features)]
    if problems:
        raise BadRequest(400, *problems)
    rows = [[_value(instance.get(one["name"]), one["kind"]) for one in features] for instance in instances]
    numbers = all(one["kind"] != "text" for one in features)
    return np.array(rows, dtype=float if numbers else object).reshape(len(rows), len(features))


def answers(estimator: Any, rows: Any) -> Iterator[dict[str, Any]]:
    """The prediction of each row, as the server gives it; `rows.table` is the estimator's input."""
    return _answers(estimator, rows.table)


def form(estimator: Any, labels: NDArray[Any]) -> dict[str, Any]:
    """What the fields of a prediction mean, as `answer.json` says it.

    Args:
        estimator: A fitted classifier, or a fitted regressor.
        labels: What it was fitted on. An error counts at most as much as they are apart.
    """
    if not hasattr(estimator, "classes_"):
        apart = float(np.max(labels) - np.min(labels))
        return {"kind": "regression", "value": DECISION, "largest_error": apart or 1.0}
    found = {"kind": "classification", "classes": np.asarray(estimator.classes_).tolist(), "decision": DECISION}
    return {**found, "probability": PROBABILITY} if hasattr(estimator, "predict_proba") else found


def _answers(estimator: Any, table: NDArray[Any]) -> Iterator[dict[str, Any]]:
    said: list[Any] = np.asarray(estimator.predict(table)).tolist()
    if not hasattr(estimator, "classes_") or not hasattr(estimator, "predict_proba"):
        yield from ({DECISION: value} for value in said)
        return
    names = [one if isinstance(one, str) else json.dumps(one) for one in np.asarray(estimator.classes_).tolist()]
    for value, shares in zip(said, estimator.predict_proba(table).tolist(), strict=True):
        yield {DECISION: value, PROBABILITY: dict(zip(names, shares, strict=True))}


def _wrong(instance: Any, features: Features) -> Iterator[str]:
    names = [one["name"] for one in features]
    if not isinstance(instance, dict):
        yield f": {_shown(instance)} is not allowed: expected an object with the fields {', '.join(names)}"
        return
    given = cast(dict[str, Any], instance)
    for name in sorted(given.keys() - set(names)):
        yield f".{_shown(name)}: unknown field; allowed are {', '.join(names)}"
    for one in features:
        value, kind = given.get(one["name"]), one["kind"]
        if _fits(value, kind) or (value is None and one["optional"]):
            continue
        found = f"{_shown(value)} is not allowed: " if one["name"] in given else "missing; "
        yield f".{one['name']}: {found}expected {_ALLOWED[kind]}{', or null' if one['optional'] else ''}"


def _fits(value: Any, kind: str) -> bool:
    if kind == "text":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300


def _value(value: Any, kind: str) -> Any:
    if kind == "number":
        return float("nan") if value is None else float(value)
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise BadRequest(415, f"content type {kind or 'none'!r} is not allowed: expected application/json")
    parts: list[bytes] = []
    async for part in request.stream():
        parts.append(part)
        if sum(map(len, parts)) > MAX_BODY_BYTES:
            raise BadRequest(413, f"the body is larger than {MAX_BODY_BYTES:,} bytes")
    return b"".join(parts)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
