"""Answer requests with the model: three verbs, load, predict and metadata, behind SageMaker's two routes.

    GET  /ping         200 once the model is loaded
    POST /invocations  {"instances": [{"carrier": "UA", ...}]} -> {"predictions": [{"late": false, "probability": 0.2}]}
    GET  /metadata     what is served: recipe, parameters, features, metrics

A request is checked before anything is predicted; an error names the field, the value and what is allowed.
`entrypoint.py` runs `main` after it has verified every file of the archive.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from itertools import count
from math import isfinite
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from model import features

MAX_BODY_BYTES = 6 * 1024 * 1024
MAX_INSTANCES = 1000
SHOWN_PROBLEMS = 20
SLOW_SECONDS = 2.0
THRESHOLD = 0.5

log = logging.getLogger("model")


@dataclass(frozen=True)
class Model:
    """A loaded model version."""

    estimator: Any
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def fault(self) -> str:
        """The failure this version rehearses, see `parameters.py`."""
        return str(self.manifest["parameters"].get("fault", "none"))


class BadRequest(ValueError):
    """The request cannot be answered; `status` says which way, `problems` has a line for each reason."""

    def __init__(self, status: int, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.status = status
        self.problems = list(problems)


def load(folder: Path) -> Model:
    """Read a model version from its unpacked, verified archive."""
    import joblib  # noqa: PLC0415  brings scikit-learn's parts in, which must not find pandas: see main

    return Model(
        estimator=joblib.load(folder / "model.joblib"),
        manifest=json.loads((folder / "manifest.json").read_bytes()),
        metrics=json.loads((folder / "metrics.json").read_bytes()),
    )


def predict(model: Model, instances: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each checked instance whether it will be late, and the probability (0 to 1; null if not a number)."""
    probabilities = model.estimator.predict_proba(features.table(instances))[:, 1]
    if model.fault == "nan":
        probabilities = probabilities * float("nan")
    return [prediction(value) for value in probabilities]


def prediction(probability: float) -> dict[str, Any]:
    """The answer for one flight."""
    known = float(probability) if isfinite(probability) else None
    return {"late": bool(probability >= THRESHOLD), "probability": known}


def answers(estimator: Any, rows: Any) -> Iterator[dict[str, Any]]:
    """Yield for each flight of the pipeline's rows what would be answered."""
    return (prediction(value) for value in estimator.predict_proba(rows.table)[:, 1])


def metadata(model: Model) -> dict[str, Any]:
    """Return what is served."""
    return {
        **{key: model.manifest[key] for key in ("recipe", "parameters", "python", "libraries")},
        "metrics": model.metrics["summary"],
        "features": [
            {key: value for key, value in vars(feature).items() if key != "kind"} | {"kind": feature.kind}
            for feature in features.FEATURES
        ],
    }


def parse(content_type: str, body: bytes) -> list[dict[str, Any]]:
    """Turn a request into instances that `predict` can take.

    Raises:
        BadRequest: 415 for another content type, 413 for too large a body, 400 for anything else that is wrong with it.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise BadRequest(415, [f"content type {content_type or 'none'!r} is not allowed: expected application/json"])
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(400, [f"the body is not JSON: {error}"]) from None
    if not isinstance(document, dict) or document.keys() != {"instances"}:
        found = (
            f"fields {', '.join(sorted(document)) or 'none'}" if isinstance(document, dict) else type(document).__name__
        )
        raise BadRequest(400, [f'the body has {found}: expected an object with the one field "instances"'])
    instances = document["instances"]
    if not isinstance(instances, list) or not 1 <= len(instances) <= MAX_INSTANCES:
        found = f"{len(instances)} of them" if isinstance(instances, list) else type(instances).__name__
        raise BadRequest(400, [f"instances: found {found}: expected a list of 1 to {MAX_INSTANCES} objects"])
    problems = [f"instances[{row}].{line}" for row, one in enumerate(instances) for line in features.check(one)]
    if problems:
        raise BadRequest(400, problems)
    return instances


def app(model: Model) -> Starlette:
    """Return the ASGI application that serves a loaded model."""
    requests = count(1)

    async def ping(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ready"})

    async def about(_: Request) -> JSONResponse:
        return JSONResponse(metadata(model))

    async def invocations(request: Request) -> JSONResponse:
        instances = parse(request.headers.get("content-type", ""), await _body(request))
        if model.fault == "errors" and next(requests) % 2:
            raise RuntimeError("this version fails every second request: parameter fault is 'errors'")
        if model.fault == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        return JSONResponse({"predictions": predict(model, instances)})

    async def refused(_: Request, error: Exception) -> JSONResponse:
        problems = error.problems if isinstance(error, BadRequest) else [str(error)]
        hidden = len(problems) - SHOWN_PROBLEMS
        shown = problems[:SHOWN_PROBLEMS] + ([f"and {hidden} more"] if hidden > 0 else [])
        status = error.status if isinstance(error, BadRequest) else 400
        return JSONResponse({"error": shown[0], "problems": shown}, status_code=status)

    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=500)

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/invocations", invocations, methods=["POST"]),
            Route("/metadata", about),
        ],
        exception_handlers={BadRequest: refused, Exception: failed},
    )


def main(folder: Path, host: str, port: int) -> None:
    """Load the model and serve it until SIGTERM; requests in flight are answered first."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    sys.meta_path.insert(0, _NoPandas())
    model = load(folder)
    log.info("serving recipe %s on %s:%d", model.manifest["recipe"][:12], host, port)
    # The idle timeout is longer than SageMaker's own, so that it never reuses a connection that is being closed here.
    uvicorn.run(app(model), host=host, port=port, log_level="warning", access_log=False, timeout_keep_alive=120)


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadRequest(413, [f"the body is larger than {MAX_BODY_BYTES:,} bytes"])
        parts.append(part)
    return b"".join(parts)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


class _NoPandas:
    """Hides pandas from this process, as if it were not installed; in the container it is not.

    scikit-learn imports it where it can, when it is loaded and again in a prediction: that would cost 63 MB, and 0.7 s
    of the first request.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not used in serving", name=name)
        return None
