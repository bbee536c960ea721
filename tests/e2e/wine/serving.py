"""The server: `GET /ping` and `POST /invocations`. Only the packages of requirements/serving.in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

NAMES = (
    *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
    *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline"),
)


def main(folder: Path, host: str, port: int) -> None:
    """Serve the model of an unpacked archive until SIGTERM."""
    estimator = joblib.load(folder / "model.joblib")
    uvicorn.run(app(estimator), host=host, port=port, log_level="warning", timeout_keep_alive=120)


def app(estimator: Any) -> Starlette:
    """The ASGI application of a loaded estimator."""

    async def ping(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ready"})

    async def invocations(request: Request) -> JSONResponse:
        try:
            instances = json.loads(await request.body())["instances"]
            table = [[float(instance[name]) for name in NAMES] for instance in instances]
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"expected instances with {', '.join(NAMES)}: {error!r}"}, status_code=400)
        return JSONResponse({"predictions": [predicted(estimator, row) for row in estimator.predict_proba(table)]})

    return Starlette(routes=[Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])])


def predicted(estimator: Any, shares: Any) -> dict[str, Any]:
    """The likeliest cultivar, and the probability of each."""
    probabilities = {str(name): float(share) for name, share in zip(estimator.classes_, shares, strict=True)}
    return {"cultivar": max(probabilities, key=lambda name: probabilities[name]), "probabilities": probabilities}
