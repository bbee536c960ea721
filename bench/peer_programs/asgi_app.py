"""A bare ASGI app over ONNX Runtime: the same trees, no checks, no metrics. `uvicorn asgi_app:app`, in the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

_options = onnxruntime.SessionOptions()
_options.intra_op_num_threads = _options.inter_op_num_threads = 1
_session = onnxruntime.InferenceSession("model.onnx", _options, providers=["CPUExecutionProvider"])
with Path("features.json").open() as file:
    _features = [one["name"] for one in json.load(file)]
_inputs, _start = [], 0
for _one in _session.get_inputs():
    _names = _features[_start : _start + _one.shape[1]]
    _inputs.append((_one.name, _names, object if _one.type == "tensor(string)" else float))
    _start += _one.shape[1]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    rows = json.loads(body)["instances"]
    given = {name: np.array([[row[one] for one in names] for row in rows], kind) for name, names, kind in _inputs}
    late = _session.run(None, given)[0][:, 1].tolist()
    answer = json.dumps({"predictions": [{"late": one >= 0.5, "probability": one} for one in late]}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": answer})
