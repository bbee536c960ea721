"""The contract of `model/`: two required functions, and the optional parts.

`docs/reference/model.md` explains it. `modelstack.pipeline.outline` checks the files and `modelstack.pipeline.rows` the
data, both before anything is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


class Refusal(Exception):
    """The model's folder or its data cannot be used; the message is for its author."""


class ContractBroken(Refusal):
    """`model/` breaks the contract; the message has a line for each problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"the model does not give what docs/how-to/own-model.md asks for:\n{lines}")
        self.problems = list(problems)


class RecipeError(Exception):
    """The model's folder, parameters or locks cannot be read; the message says which and why."""


class NothingNewer(RecipeError):
    """There is nothing newer to learn from; the message is the model's own."""


@dataclass(frozen=True)
class Part:
    """A part of the contract: a name in a file of `model/`, or the file itself if the name is empty.

    `takes` has the names of a function's positional arguments; None if it is no function.
    """

    file: str
    name: str
    buys: str
    takes: tuple[str, ...] | None = None
    optional: bool = True

    @property
    def shown(self) -> str:
        """The part as a reader sees it, such as `train(rows, settings)`."""
        return self.name + ("" if self.takes is None else f"({', '.join(self.takes)})")


DATA = "data"
"""The checkout's folder for the model's data files; the training image holds it, and a retraining job links to it."""

PARTS = (
    Part("__init__.py", "", "makes the folder a package; may be empty", optional=False),
    Part("data.py", "training", "the table to learn from", ("settings",), optional=False),
    Part("training.py", "train", "the fitted estimator", ("rows", "settings"), optional=False),
    Part("parameters.py", "Parameters", "settings in the stack's file; without it there are none"),
    Part("parameters.py", "retrained", "retraining on newer data", ("settings", "through")),
    Part("parameters.py", "variant", "`make demo` and `make bench`: a version about as good", ("settings", "number")),
    Part("parameters.py", "FAULTY", "`make demo` and `make bench`: a version whose requests fail"),
    Part("sources.py", "files", "a new version when a data file outside `model/` changes", ()),
    Part("sources.py", "version", "a new version when data changes that is in no file", ()),
    Part("data.py", "evaluation", "rows of your choice to evaluate on, not a fifth of the table", ("settings",)),
    Part("data.py", "replay", "events of your choice for `modelstack replay`, not the table's", ("since", "until")),
    Part("data.py", "refit", "a served model that knows the newest rows too", ("settings",)),
    Part("training.py", "refit", "a second fit other than `train`", ("rows", "settings", "trained")),
    Part(
        "training.py", "save", "an estimator that joblib cannot write; `serving.py` needs `load`", ("estimator", "path")
    ),
    Part("training.py", "load", "reads what `save` wrote", ("path",)),
    Part("evaluation.py", "evaluate", "metrics of your choice; needs `METRICS`", ("estimator", "rows")),
    Part("evaluation.py", "METRICS", "what your metrics mean; gates are checked against these names"),
    Part("evaluation.py", "details", "findings for a reader, kept with the metrics", ("estimator", "rows")),
    Part("features.py", "FEATURES", "units, and the values that are allowed in a request"),
    Part("serving.py", "predict", "answers of a form of your own; needs `answer.json`", ("model", "rows")),
    Part("serving.py", "load", "a model that is more than an estimator", ("folder",)),
    Part("serving.py", "main", "a server of your own", ("folder", "host", "port")),
    Part("model.onnx", "", "a model that is an ONNX file; then only `FEATURES` is required"),
    Part("answer.json", "", "what the answers of a form of your own mean"),
)
"""Every part, the required ones first."""


@dataclass(frozen=True)
class Event:
    """One request of a replay; a model may return its own objects with these attributes.

    Attributes:
        id: A unique name, at most 40 characters.
        event_time: When it is requested, UTC; None for all events if they have no time.
        label: The correct answer, as JSON; None if it will never be known.
        label_at: When the label is known, UTC; None if never, or unknown.
    """

    id: str
    event_time: datetime | None
    instance: Mapping[str, Any]
    label: Any
    label_at: datetime | None
