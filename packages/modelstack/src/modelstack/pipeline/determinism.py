"""The proof that training is reproducible: a sample of its rows is fitted twice, each time in a process of its own.

    python -m modelstack.pipeline.determinism --parameters JSON --out FILE     # fits the sample, and writes the
    estimator

The step `train` does this once, before it fits all rows. Two different files mean that two builds of one recipe would
seal different packages. The model is then refused, and the error names the calls of its code that have no seed.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from modelstack.pipeline import step
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.recipe import canonical, model_files, sha256_of

SAMPLE = 12_000
"""Most rows of the sample: scikit-learn's gradient boosting draws rows for early stopping from 10,001 rows on."""
_SEEDS = ("random_state", "seed", "random_seed", "rng")
_SHARED = (getattr(random.random, "__self__", None), getattr(np.random.random_sample, "__self__", None))
"""The generators behind functions such as `random.shuffle` and `np.random.normal`."""


def check(root: Path, parameters: Mapping[str, Any], folder: Path) -> None:
    """Refuse a model whose sample is fitted differently each time; `folder` takes the two estimators."""
    print("fit a sample twice, to see whether training is reproducible")
    fitted = [folder / "first", folder / "second"]
    try:
        for path in fitted:
            arguments = ["--parameters", canonical(parameters), "--out", str(path)]
            step.run(root, "modelstack.pipeline.determinism", arguments, lambda _: None, name="a fit of a sample")
    except step.StepFailed as error:  # the fit of all rows fails too, or the sample is too small for the model
        print(f"it is not known whether training is reproducible: {str(error).partition(chr(10))[0]}")
        return
    if sha256_of(fitted[0]) != sha256_of(fitted[1]):
        raise Refusal(_explained(list(unseeded(model_files(root)))))
    print("two fits of a sample gave the same estimator")


def _explained(found: list[str]) -> str:
    begun = "two fits of the same rows gave different estimators, so that this build could not be repeated"
    if not found:
        return (
            f"{begun}: model/training.py: train(rows, settings): expected what depends on its arguments alone, and not "
            "on random numbers without a seed, the time, or the order of threads"
        )
    return f"{begun}; give a fixed seed, such as random_state=0, to" + "".join(f"\n  - {one}" for one in found)


def unseeded(files: Mapping[str, Path]) -> Iterator[str]:
    """The calls in the loaded model's code that could have a seed and have none: the file, the line and the call."""
    for name, path in files.items():
        module = sys.modules.get(name.removesuffix(".py").replace("/", "."))
        if module is None:
            continue
        nodes = [*ast.walk(ast.parse(path.read_bytes()))]
        names = {**vars(module), **dict(_imported(nodes))}
        for call in nodes:
            if isinstance(call, ast.Call) and _has_no_seed(call, _value(names, call.func)):
                yield f"{name}, line {call.lineno}: {ast.unparse(call.func)}"


def _imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, Any]]:
    """The names that functions of a file import."""
    for node in nodes:
        with suppress(ImportError):
            if isinstance(node, ast.Import):
                yield from ((one.asname, import_module(one.name)) for one in node.names if one.asname)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                source = import_module(node.module)
                yield from ((one.asname or one.name, getattr(source, one.name, None)) for one in node.names)


def _value(names: Mapping[str, Any], named: ast.expr) -> Any:
    """What an expression such as `np.random.shuffle` means; None if only a run tells."""
    if isinstance(named, ast.Name):
        return names.get(named.id)
    return getattr(_value(names, named.value), named.attr, None) if isinstance(named, ast.Attribute) else None


def _has_no_seed(call: ast.Call, called: Any) -> bool:
    if any(getattr(called, "__self__", None) is one for one in _SHARED):
        return called.__name__ != "seed"
    given = {one.arg: one.value for one in call.keywords}
    try:
        takes = inspect.signature(called)
        bound = takes.bind_partial(*call.args, **{name: value for name, value in given.items() if name}).arguments
    except (TypeError, ValueError):
        return False
    if None in given or any(isinstance(one, ast.Starred) for one in call.args):  # a seed may be among them
        return False
    seeds = [bound.get(name) for name in _SEEDS if name in takes.parameters]
    return bool(seeds) and all(one is None or getattr(one, "value", one) is None for one in seeds)


def main() -> None:
    """Fit the sample."""
    from modelstack.pipeline import parts  # noqa: PLC0415  runs the model
    from modelstack.pipeline.rows import tables  # noqa: PLC0415

    parser = argparse.ArgumentParser(description="Fit a sample of the rows.")
    parser.add_argument("--parameters", required=True)
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    step.end_with_parent()
    settings = parts.settings(json.loads(given.parameters))
    rows = tables(parts.data, settings).training
    parts.check_labels(rows)
    chosen = np.zeros(len(rows), bool)
    chosen[np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int)] = True
    parts.save(parts.fitted(parts.training.train(rows.take(chosen), settings)).estimator, given.out)


if __name__ == "__main__":
    step.in_words(main)
