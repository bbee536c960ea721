"""What `model/` has to give: a protocol for each of its files, and for what they return.

`MODULES` must be there, `OPTIONAL` may be. `docs/reference/model.md` lists both, `docs/how-to/own-model.md` goes
through an example. `pipeline.outline` checks what reading the files can tell, `pipeline.rows` what only the data can
show. Both do so before anything is fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol


class Refusal(Exception):
    """The model's folder or its data cannot be used; the message is for the person who wrote it."""


class ContractBroken(Refusal):
    """`model/` does not give what it has to; the message has a line for each problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"the model does not give what docs/how-to/own-model.md asks for:\n{lines}")
        self.problems = list(problems)


class Settings(Protocol):
    """The parameters of one model version."""

    def as_dict(self) -> dict[str, Any]:
        """Every parameter, defaults included, as JSON values. They are part of the recipe."""
        ...


class Rows(Protocol):
    """Rows with a known label. `columns` is what drift is measured on: the fields of a request's instance.

    Beside it, either both times, UTC, shape (rows,), datetime64: `event_time` (when the prediction is asked for) and
    `label_at` (when the label is known); or, for rows without a time, `id`: a name for each, shape (rows,). By these
    the pipeline tells that no row to evaluate on was known to training.

    """

    @property
    def columns(self) -> Mapping[str, Any]:
        """Feature -> values, shape (rows,): numbers with NaN for missing, or strings with None for missing."""
        ...

    def __len__(self) -> int:
        """How many rows there are."""
        ...


class Trained(Protocol):
    """A fitted model."""

    @property
    def estimator(self) -> Any:
        """What `save` writes and `evaluate` takes."""
        ...

    @property
    def trials(self) -> Sequence[Any]:
        """What was tried on the way, dataclasses of JSON values; empty if nothing was."""
        ...


class Evaluation(Protocol):
    """What evaluation found."""

    @property
    def summary(self) -> Mapping[str, float]:
        """Metric -> a finite number, for each name in `METRICS`."""
        ...

    @property
    def details(self) -> Any:
        """Any JSON, for a reader."""
        ...


class Event(Protocol):
    """One request of a replay."""

    @property
    def id(self) -> str:
        """Its name, at most 40 characters, another one for each event."""
        ...

    @property
    def event_time(self) -> datetime | None:
        """When it is asked, UTC; None for all events if they have no time."""
        ...

    @property
    def instance(self) -> Mapping[str, Any]:
        """The one instance of the request, a JSON object."""
        ...

    @property
    def label(self) -> Any:
        """What the answer should say, as JSON; None when it will never be known."""
        ...

    @property
    def label_at(self) -> datetime | None:
        """When the label is known, UTC; None if that is never, or not told."""
        ...


class _Name(Protocol):
    NAME: str
    """The model's name in its archives."""


class _Parameters(Protocol):
    """Standard library only: run by itself on every `pulumi preview`."""

    ParameterError: type[Exception]
    """Raised by `parse`; its message has a line `name: what is wrong` for each problem."""

    @staticmethod
    def parse(given: Mapping[str, Any]) -> Settings:
        """Check what stands in the stack's file, and fill in the defaults."""
        ...


class _Versions(Protocol):
    """For who makes versions of their own: `make demo` and `make bench` the first two, retraining the last."""

    FAULTY: Mapping[str, Any]
    """Parameters of a version whose requests fail, for the demo to roll back."""

    @staticmethod
    def variant(settings: Settings, number: int) -> Mapping[str, Any]:
        """The parameters to change for version `number`, 1 to 1,000,000: each another recipe, about as good."""
        ...

    @staticmethod
    def retrained(settings: Settings, through: str) -> Mapping[str, Any]:
        """The parameters to change to use what is known at a day's beginning, YYYY-MM-DD; a later day, a later window.

        Raises `ParameterError` for a day that gives nothing newer than the settings have.
        """
        ...


class _Sources(Protocol):
    """Standard library only: run by itself on every `pulumi preview`."""

    READERS: Sequence[str]
    """Packages, locked in requirements/app.txt, that turn the files into rows."""

    @staticmethod
    def files() -> Mapping[str, Path]:
        """Name -> path of each raw file that the rows come from; raises OSError if one is missing."""
        ...

    @staticmethod
    def version() -> str:
        """The version of the data."""
        ...


class _Data(Protocol):
    @staticmethod
    def training(settings: Settings) -> Rows:
        """The rows to train on."""
        ...

    @staticmethod
    def evaluation(settings: Settings) -> Rows:
        """The rows to evaluate on: later than training, or others where rows have no time."""
        ...


class _MoreData(Protocol):
    """`replay` is for `modelstack replay`, which puts traffic on an endpoint; `refit` for what serves."""

    @staticmethod
    def replay(since: str | None, until: str | None) -> Iterator[Event]:
        """Events in order of their time, from `since` to `until` (not included), ISO 8601, UTC; None leaves it open."""
        ...

    @staticmethod
    def refit(settings: Settings) -> Rows | None:
        """The rows to fit what serves on, after the evaluation; None where what was evaluated is to serve."""
        ...


class _Training(Protocol):
    @staticmethod
    def train(rows: Any, settings: Any) -> Trained:
        """Fit; the same rows and settings give the same bytes."""
        ...

    @staticmethod
    def save(estimator: Any, path: str) -> None:
        """Write an estimator to a file."""
        ...

    @staticmethod
    def load(path: str) -> Any:
        """Read what `save` wrote."""
        ...


class _Refit(Protocol):
    """For what serves, if it is to know the rows of the evaluation too."""

    @staticmethod
    def refit(rows: Any, settings: Any, trained: Any) -> Trained:
        """Fit on what `data.refit` gives, as `train` has chosen: `trained` is what that returned."""
        ...


class _Evaluation(Protocol):
    METRICS: Mapping[str, str]
    """Metric -> meaning, written out: gates bind to these names."""

    @staticmethod
    def evaluate(estimator: Any, rows: Any) -> Evaluation:
        """Score an estimator."""
        ...


class _Answers(Protocol):
    """For what labels show later, which is held against it."""

    @staticmethod
    def answers(estimator: Any, rows: Any) -> Iterator[tuple[Mapping[str, Any], Any]]:
        """A prediction, as the server gives it, and its label as JSON, for each row."""
        ...


class _Serving(Protocol):
    """Only the packages of requirements/serving.in."""

    @staticmethod
    def main(folder: Path, host: str, port: int) -> None:
        """Serve `GET /ping` and `POST /invocations` from an unpacked archive, until SIGTERM."""
        ...


MODULES: Mapping[str, type] = {
    "__init__": _Name,
    "parameters": _Parameters,
    "sources": _Sources,
    "data": _Data,
    "training": _Training,
    "evaluation": _Evaluation,
    "serving": _Serving,
}
OPTIONAL: Mapping[str, type] = {
    "parameters": _Versions,
    "data": _MoreData,
    "training": _Refit,
    "evaluation": _Answers,
}
