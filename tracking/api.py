"""What we ask of MLflow, a function each: experiments, runs, registered models, versions, aliases.

with opened("http://127.0.0.1:5000", bearer(os.environ), seconds=5) as api:
    run = api.run(api.experiment("flight-delay-local"), "sha256:...")        # None when no run has the digest
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tracking.connection import CALL_SECONDS, Authorize, Connection, MlflowError, Refused

DIGEST = "package_digest"
"""The tag of runs and versions by which they are found again."""
RELEASE = "release"
"""The tag that says what the stack's rollouts call the package."""
PROXIED = "mlflow-artifacts:/"
"""How a run's artifacts are named where the server itself keeps them."""
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # else its page shows runs as those of an agent
_MISSING, _EXISTS = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
_MOST_PARAMETERS = 100  # of one call; Source: MLflow REST API, "Request Limits"
_MOST_VERSIONS = 200


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        id: Its id.
        artifacts: The URI of its artifacts.
    """

    id: str
    artifacts: str


@dataclass(frozen=True)
class MlflowVersion:
    """A version of a registered model.

    Attributes:
        number: Its number.
        run_id: The run that it belongs to; empty without one.
        tags: Its tags.
        source: Where its files lie, as whoever registered it said.
    """

    number: str
    run_id: str
    tags: Mapping[str, str]
    source: str = ""


@dataclass(frozen=True)
class Batch:
    """What is logged on a run at once.

    Attributes:
        parameters: Name -> value.
        metrics: (name, value, milliseconds since the epoch, step) each.
        tags: Name -> value.
    """

    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    metrics: tuple[tuple[str, float, int, int], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Api:
    """MLflow's API over one connection. Every call raises an MlflowError when it fails."""

    connection: Connection

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made if there is none."""
        call = self.connection.call
        try:
            found = call("GET", "experiments/get-by-name", query={"experiment_name": name})
            return found["experiment"]["experiment_id"]
        except Refused as error:
            if error.code != _MISSING:
                raise
        return call("POST", "experiments/create", {"name": name, "tags": _pairs(_KIND)})["experiment_id"]

    def run(self, experiment: str, package_digest: str) -> Run | None:
        """The oldest run of a package in an experiment."""
        asked = {
            "experiment_ids": [experiment],
            "filter": f"tags.{DIGEST} = '{package_digest}'",
            "order_by": ["attributes.start_time ASC"],
            "max_results": 1,
        }
        found = self.connection.call("POST", "runs/search", asked).get("runs", [])
        return _run(found[0]) if found else None

    def run_of(self, run_id: str) -> Run:
        """A run by its id."""
        return _run(self.connection.call("GET", "runs/get", query={"run_id": run_id})["run"])

    def create_run(self, experiment: str, name: str, at: int, tags: Mapping[str, str]) -> Run:
        """A new run, begun at so many milliseconds."""
        asked = {"experiment_id": experiment, "run_name": name, "start_time": at, "tags": _pairs(tags)}
        return _run(self.connection.call("POST", "runs/create", asked)["run"])

    def log(self, run_id: str, batch: Batch) -> None:
        """Log on a run; the same again changes nothing."""
        parameters = _pairs(batch.parameters)
        metrics = [
            {"key": key, "value": value, "timestamp": at, "step": step} for key, value, at, step in batch.metrics
        ]
        first = {"run_id": run_id, "params": parameters[:_MOST_PARAMETERS], "metrics": metrics}
        self.connection.call("POST", "runs/log-batch", {**first, "tags": _pairs(batch.tags)})
        for begin in range(_MOST_PARAMETERS, len(parameters), _MOST_PARAMETERS):
            some = parameters[begin : begin + _MOST_PARAMETERS]
            self.connection.call("POST", "runs/log-batch", {"run_id": run_id, "params": some})

    def log_dataset(self, run_id: str, dataset: Mapping[str, str], context: str) -> None:
        """Say which data a run has used."""
        tags = [{"key": "mlflow.data.context", "value": context}]
        asked = {"run_id": run_id, "datasets": [{"tags": tags, "dataset": dict(dataset)}]}
        self.connection.call("POST", "runs/log-inputs", asked)

    def finish(self, run_id: str, at: int) -> None:
        """A run has ended well, at so many milliseconds."""
        self.connection.call("POST", "runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": at})

    def keep(self, run: Run, name: str, content: bytes) -> bool:
        """Put an artifact; whether the server itself keeps artifacts, and so has taken it."""
        if not run.artifacts.startswith(PROXIED):
            return False
        self.connection.put(f"{run.artifacts.removeprefix(PROXIED).lstrip('/')}/{name}", content)
        return True

    def model(self, name: str) -> bool:
        """Make a registered model, if there is none of the name; whether it was made."""
        try:
            self.connection.call("POST", "registered-models/create", {"name": name})
        except Refused as error:
            if error.code != _EXISTS:
                raise
            return False
        return True

    def aliases(self, name: str) -> dict[str, str] | None:
        """Alias -> number of the version that it names; None when there is no such model."""
        try:
            found = self.connection.call("GET", "registered-models/get", query={"name": name})["registered_model"]
        except Refused as error:
            if error.code == _MISSING:
                return None
            raise
        return {one["alias"]: str(one["version"]) for one in found.get("aliases", [])}

    def versions_of(self, name: str, digests: Iterable[str], releases: Iterable[str] = ()) -> dict[str, MlflowVersion]:
        """Package digest -> its oldest version, of those with one of these digests or releases.

        No page is fetched after everything is found. Of two versions of one digest, which only two updates that ran at
        once could make, the older one counts wherever both are on the pages that were.
        """
        missing = {*((DIGEST, one) for one in digests), *((RELEASE, one) for one in releases)}
        wanted, found = frozenset(missing), dict[str, MlflowVersion]()
        for page in self._pages(name) if wanted else ():
            for version in page:
                named = wanted & version.tags.items()
                missing -= named
                if named and DIGEST in version.tags:
                    found[version.tags[DIGEST]] = version
            if not missing:
                break
        return found

    def _pages(self, name: str) -> Iterator[list[MlflowVersion]]:
        """Every version of a model, the newest first; pages that nobody asks for are not fetched."""
        query = {
            "filter": f"name='{name}'",
            "order_by": "version_number DESC",
            "max_results": str(_MOST_VERSIONS),
        }
        while True:
            page = self.connection.call("GET", "model-versions/search", query=query)
            yield [_version(one) for one in page.get("model_versions", [])]
            if not page.get("next_page_token"):
                return
            query["page_token"] = page["next_page_token"]

    def create_version(self, name: str, source: str, run_id: str, tags: Mapping[str, str], told: str) -> MlflowVersion:
        """A new version of a model."""
        asked = {"name": name, "source": source, "run_id": run_id, "tags": _pairs(tags), "description": told}
        return _version(self.connection.call("POST", "model-versions/create", asked)["model_version"])

    def tag_version(self, name: str, number: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        asked = {"name": name, "version": number, "key": key, "value": value}
        self.connection.call("POST", "model-versions/set-tag", asked)

    def set_alias(self, name: str, alias: str, number: str) -> None:
        """Let an alias name a version."""
        asked = {"name": name, "alias": alias, "version": number}
        self.connection.call("POST", "registered-models/alias", asked)

    def drop_alias(self, name: str, alias: str) -> None:
        """Let an alias name no version."""
        self.connection.call("DELETE", "registered-models/alias", {"name": name, "alias": alias})

    def by_alias(self, name: str, alias: str) -> MlflowVersion:
        """The version that an alias names."""
        query = {"name": name, "alias": alias}
        return _version(self.connection.call("GET", "registered-models/alias", query=query)["model_version"])

    def version(self, name: str, number: str) -> MlflowVersion:
        """A version by its number."""
        query = {"name": name, "version": number}
        return _version(self.connection.call("GET", "model-versions/get", query=query)["model_version"])

    def place(self, name: str, number: str) -> str:
        """The URI of a version's files."""
        query = {"name": name, "version": number}
        return self.connection.call("GET", "model-versions/get-download-uri", query=query)["artifact_uri"]

    def artifact(self, uri: str) -> bytes:
        """The bytes of an artifact that the server itself keeps.

        Raises:
            MlflowError: It keeps none by this URI.
        """
        if not uri.startswith(PROXIED):
            raise MlflowError(f"{uri} lies outside of the MLflow server; expected {PROXIED}..., which it serves itself")
        return self.connection.get(uri.removeprefix(PROXIED).lstrip("/"))


@contextmanager
def opened(url: str, authorize: Authorize, seconds: float, each: float = CALL_SECONDS) -> Generator[Api]:
    """MLflow's API for so many seconds, over one connection that is closed at the end."""
    connection = Connection.to(url, authorize, seconds, each)
    try:
        yield Api(connection)
    finally:
        connection.close()


def _run(told: Mapping[str, Any]) -> Run:
    return Run(told["info"]["run_id"], told["info"].get("artifact_uri", ""))


def _version(told: Mapping[str, Any]) -> MlflowVersion:
    tags = {one["key"]: one.get("value", "") for one in told.get("tags", [])}
    return MlflowVersion(str(told["version"]), told.get("run_id", ""), tags, told.get("source", ""))


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
