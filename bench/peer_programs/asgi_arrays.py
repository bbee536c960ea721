"""A bare ASGI app over an ONNX file of arrays: no checks, no metrics. `uvicorn asgi_arrays:app`, beside the file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime

_options = onnxruntime.SessionOptions()
_options.intra_op_num_threads = _options.inter_op_num_threads = 1
_session = onnxruntime.InferenceSession("model.onnx", _options, providers=["CPUExecutionProvider"])
_outputs = [one.name for one in _session.get_outputs()]


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
    found = _session.run(_outputs, {"embedding": np.array([row["embedding"] for row in rows], np.float32)})
    each = zip(*(one.tolist() for one in found), strict=True)
    answer = json.dumps({"predictions": [dict(zip(_outputs, row, strict=True)) for row in each]}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": answer})
