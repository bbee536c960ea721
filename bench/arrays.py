"""A model of arrays that is an ONNX file alone: 1,000 numbers a request, one matrix, eight answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from bench import ROOT
from modelstack.pipeline import archive
from modelstack.pipeline.build import build
from modelstack.pipeline.checkout import lay_out
from modelstack.pipeline.recipe import recipe

NUMBERS = 1000
_CLASSES = 8
_FEATURES = f'FEATURES = {{"embedding": {{"shape": [{NUMBERS}], "dtype": "float32"}}}}\n'


def served(folder: Path) -> tuple[Mapping[str, str], bytes]:
    """Build such a model and unpack it to `folder / "arrays"`; returns the variables that serve it, and a request."""
    made, random = folder / "given", np.random.default_rng(0)
    made.mkdir()
    (made / "__init__.py").touch()
    (made / "features.py").write_text(_FEATURES)
    weights = random.normal(size=(NUMBERS, _CLASSES)).astype(np.float32)
    shape = ["rows", _CLASSES]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["embedding", "W"], ["raw"]), helper.make_node("Softmax", ["raw"], ["share"])],
        "model",
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["rows", NUMBERS])],
        [helper.make_tensor_value_info("share", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(weights, "W")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (made / "model.onnx").write_bytes(model.SerializeToString())
    lay_out(made, folder / "checkout", ROOT)
    sealed = build(folder / "checkout", recipe(folder / "checkout", {}), progress=lambda _: None)
    archive.unpack(sealed.path, folder / "arrays")
    body = {"instances": [{"embedding": random.normal(size=NUMBERS).tolist()}]}
    variables = {"SM_MODEL_DIR": str(folder / "arrays"), "MODELSTACK_MANIFEST_SHA256": sealed.manifest_sha256}
    return variables, json.dumps(body).encode()
