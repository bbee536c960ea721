"""The fast form of a model: its estimator as an ONNX model, which `modelstack.serving.fast_form` runs without
scikit-learn.

skl2onnx converts it. Where that computes in float32 or lacks support, the converters in
`modelstack.pipeline.fast_trees`, `fast_encoders` and `fast_columns` replace it. `modelstack.pipeline.proof` checks that
the result is equivalent. The same estimator gives the same bytes.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, checker, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

from modelstack.pipeline import fast_boosters, fast_columns, fast_encoders, fast_trees
from modelstack.pipeline.fast_nodes import MACHINE_LEARNING, REFUSED, NoFastForm

PROBABILITY, VALUE, LABEL = "probability", "value", "label"
_OPSETS = {"": 21, MACHINE_LEARNING: 5}
_ASKED = {"": 21, MACHINE_LEARNING: 3}
"""The newest that skl2onnx supports. Its output is valid in `_OPSETS` too, or the checker refuses it."""
_IR = 10  # the IR version of these opsets
MOST_BYTES = 512 * 1024**2

fast_trees.register()
fast_encoders.register()
fast_columns.register()


def compiled(estimator: Any, features: Sequence[Mapping[str, Any]]) -> bytes:
    """Make the fast form of a scikit-learn estimator that was fitted on `rows.table` with `rows.features`."""
    runs = _runs(features)
    names = [name for name, *_ in runs]
    if taken := {PROBABILITY, VALUE, LABEL} & set(names):
        raise NoFastForm(f"the feature {min(taken)!r} is named as an output is")
    output = _output(estimator)
    fast_boosters.register()  # of libraries that are loaded by now
    kinds = {True: StringTensorType, False: DoubleTensorType}
    types = [(f"input{place}", kinds[text]([None, width])) for place, (_, text, width) in enumerate(runs)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = _converted(estimator, types, output)
        about = _about(estimator, features)
        model = _finished(
            cast(Any, made).graph, {types[place][0]: name for place, name in enumerate(names)}, output, about
        )
        checker.check_model(model)
        content = model.SerializeToString(deterministic=True)
    except NoFastForm:
        raise
    except (MissingConverter, MissingShapeCalculator) as error:
        unknown = re.search(r"type '?<class '[\w.]*?(\w+)'>", str(error))
        raise NoFastForm(f"skl2onnx has no converter for {unknown[1] if unknown else error}") from error
    except Exception as error:  # skl2onnx raises arbitrary errors for unsupported input
        raise NoFastForm("skl2onnx cannot convert it", error) from error
    if len(content) > MOST_BYTES:
        raise NoFastForm(f"it has {len(content):,} bytes, and {MOST_BYTES:,} are allowed")
    return content


def _runs(features: Sequence[Mapping[str, Any]]) -> list[tuple[str, bool, int]]:
    """Runs of neighbouring features of one kind: the name of the first, whether they are texts, and their number."""
    found: list[tuple[str, bool, int]] = []
    for feature in features:
        text = feature["kind"] == "text"
        if found and found[-1][1] is text:
            name, _, width = found.pop()
            found.append((name, text, width + 1))
        else:
            found.append((feature["name"], text, 1))
    return found


def _output(estimator: Any) -> str:
    if not hasattr(estimator, "classes_"):
        return VALUE
    return PROBABILITY if hasattr(estimator, "predict_proba") else LABEL


def _about(estimator: Any, features: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Metadata for readers: the classes, and whether texts may be missing."""
    found: dict[str, str] = {}
    if hasattr(estimator, "classes_"):
        classes: NDArray[Any] = np.asarray(estimator.classes_)
        found = {"classes": json.dumps(classes.tolist()), "classes_type": classes.dtype.str}
    if any(feature["kind"] == "text" and feature["optional"] for feature in features):
        found["missing_texts"] = "yes"
    return found


def _converted(estimator: Any, types: list[tuple[str, Any]], output: str) -> Any:
    """The output of skl2onnx, with classes as numbers from 0."""
    ways = {VALUE: [{}], LABEL: [{"nocl": True}], PROBABILITY: [{"zipmap": False}, {"zipmap": False, "nocl": True}]}
    problems: list[Exception] = []
    for options in ways[output]:  # not every classifier has each option
        try:
            chosen = {id(estimator): options} if options else None
            return convert_sklearn(estimator, "model", types, target_opset=_ASKED, options=chosen)
        except Exception as error:
            problems.append(error)
    raise problems[0]


def _finished(graph: GraphProto, inputs: Mapping[str, str], output: str, about: Mapping[str, str]) -> ModelProto:
    """The graph with our names, one output, and only the nodes that it needs."""
    outputs = list(graph.output)
    wanted = outputs[1] if output == PROBABILITY else outputs[0]
    kind = wanted.type.tensor_type.elem_type
    expected = TensorProto.INT64 if output == LABEL else TensorProto.DOUBLE
    if kind != expected:
        raise NoFastForm(f"skl2onnx gives its answers as {TensorProto.DataType.Name(kind)}")
    nodes = list(graph.node)
    source = wanted.name
    constants = {one.name: one for one in graph.initializer}
    refused = [name for node in nodes for name in node.output if name.startswith(REFUSED)]
    if output == VALUE:
        constants["rows"] = helper.make_tensor("rows", TensorProto.INT64, (1,), [-1])
        for name in (source, *refused):
            nodes.append(helper.make_node("Reshape", [name, "rows"], [f"flat_{name}"]))
        source, *refused = (f"flat_{name}" for name in (source, *refused))
    if refused and output == LABEL:
        raise NoFastForm("a label cannot say that a row is refused, as an encoder does with an unknown value")
    if refused:
        nodes.append(helper.make_node("Sum", [source, *refused], ["answer"]))
        source = "answer"
    kept = _needed(nodes, source)
    used = dict.fromkeys(name for node in kept for name in node.input if name in constants)
    names = _new_names(kept, used, inputs, {source: output})
    for number, node in enumerate(kept):
        node.name = f"{node.op_type}_{number}"
        node.doc_string = ""
        node.input[:] = [names[name] if name else "" for name in node.input]
        node.output[:] = [names.get(name, "") for name in node.output]
    for name in used:
        constants[name].name = names[name]
    rows, shape = "rows", {PROBABILITY: ["rows", wanted.type.tensor_type.shape.dim[-1].dim_value or None]}
    made = helper.make_graph(
        kept,
        "model",
        [
            helper.make_tensor_value_info(
                inputs[one.name], one.type.tensor_type.elem_type, [rows, one.type.tensor_type.shape.dim[1].dim_value]
            )
            for one in graph.input
        ],
        [helper.make_tensor_value_info(output, kind, shape.get(output, [rows]))],
        [constants[name] for name in used],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(made, opset_imports=opsets, ir_version=_IR, producer_name="modelstack")
    helper.set_model_props(model, dict(sorted(about.items())))
    return model


def _needed(nodes: Sequence[NodeProto], output: str) -> list[NodeProto]:
    """The nodes that an output needs, each after its own inputs."""
    by_output = {name: node for node in nodes for name in node.output}
    order = {id(node): number for number, node in enumerate(nodes)}
    found: dict[int, NodeProto] = {}
    waiting = [output]
    while waiting:
        node = by_output.get(waiting.pop())
        if node is not None and order[id(node)] not in found:
            if any(attribute.HasField("g") for attribute in node.attribute):
                raise NoFastForm(f"skl2onnx makes a loop of it, {node.op_type}")
            found[order[id(node)]] = node
            waiting += node.input
    return [found[number] for number in sorted(found)]


def _new_names(
    nodes: Sequence[NodeProto], constants: Mapping[str, None], inputs: Mapping[str, str], output: Mapping[str, str]
) -> dict[str, str]:
    """New names for all values: features and the output by theirs, all others by number."""
    prefix = "_"
    while any(name.startswith(prefix) for name in inputs.values()):
        prefix += "_"
    found = {**inputs, **output}
    for name in [*constants, *(name for node in nodes for name in node.output)]:
        if name:
            found.setdefault(name, f"{prefix}{len(found)}")
    return found
