"""MLflow's REST API, one function per call: experiments, runs, registered models, versions, aliases.

with opened("http://127.0.0.1:5000", bearer(os.environ), seconds=5) as api:
    run = api.run(api.experiment("flight-delay-local"), "sha256:...")        # None when no run has the digest
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from modelstack.records.tracking.connection import CALL_SECONDS, Authorize, Connection, MlflowError, Refused

DIGEST = "package_digest"  # the tag by which runs and versions are looked up
RELEASE = "release"  # the tag with the package's release id in the stack's rollouts
PROXIED = "mlflow-artifacts:/"  # prefix of a run's artifact URI where the server itself stores artifacts
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # else its page shows runs as those of an agent
_MISSING, _EXISTS = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
_MOST_PARAMETERS = 100  # of one call; Source: MLflow REST API, "Request Limits"
_MOST_VERSIONS = 200


@dataclass(frozen=True)
class Run:
    """A run; `artifacts` is the URI of its artifacts."""

    id: str
    artifacts: str


@dataclass(frozen=True)
class MlflowVersion:
    """A version of a registered model; `run_id` is empty without a run, `source` is the URI of its files."""

    number: str
    run_id: str
    tags: Mapping[str, str]
    source: str = ""


@dataclass(frozen=True)
class Batch:
    """Parameters, metrics and tags to log on a run; a metric is (name, value, epoch milliseconds, step)."""

    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    metrics: tuple[tuple[str, float, int, int], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Api:
    """MLflow's API over one connection. Every call raises an MlflowError when it fails."""

    connection: Connection

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is created if it does not exist."""
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
        """Create a run that starts at `at`, epoch milliseconds."""
        asked = {"experiment_id": experiment, "run_name": name, "start_time": at, "tags": _pairs(tags)}
        return _run(self.connection.call("POST", "runs/create", asked)["run"])

    def log(self, run_id: str, batch: Batch) -> None:
        """Log on a run. Idempotent."""
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
        """Record a dataset that a run used."""
        tags = [{"key": "mlflow.data.context", "value": context}]
        asked = {"run_id": run_id, "datasets": [{"tags": tags, "dataset": dict(dataset)}]}
        self.connection.call("POST", "runs/log-inputs", asked)

    def finish(self, run_id: str, at: int) -> None:
        """End a run successfully at `at`, epoch milliseconds."""
        self.connection.call("POST", "runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": at})

    def keep(self, run: Run, name: str, content: bytes) -> bool:
        """Store an artifact; False if the server itself does not store artifacts."""
        if not run.artifacts.startswith(PROXIED):
            return False
        self.connection.put(f"{run.artifacts.removeprefix(PROXIED).lstrip('/')}/{name}", content)
        return True

    def model(self, name: str) -> bool:
        """Create a registered model; False if it exists."""
        try:
            self.connection.call("POST", "registered-models/create", {"name": name})
        except Refused as error:
            if error.code != _EXISTS:
                raise
            return False
        return True

    def aliases(self, name: str) -> dict[str, str] | None:
        """Alias -> version number; None when there is no such model."""
        try:
            found = self.connection.call("GET", "registered-models/get", query={"name": name})["registered_model"]
        except Refused as error:
            if error.code == _MISSING:
                return None
            raise
        return {one["alias"]: str(one["version"]) for one in found.get("aliases", [])}

    def versions_of(self, name: str, digests: Iterable[str], releases: Iterable[str] = ()) -> dict[str, MlflowVersion]:
        """Package digest -> its oldest version, for versions with one of these digests or releases.

        Fetches no further page once all are found. Only two concurrent updates can create two versions of one digest.
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
        query = {"filter": f"name='{name}'", "order_by": "version_number DESC", "max_results": str(_MOST_VERSIONS)}
        while True:
            page = self.connection.call("GET", "model-versions/search", query=query)
            yield [_version(one) for one in page.get("model_versions", [])]
            if not page.get("next_page_token"):
                return
            query["page_token"] = page["next_page_token"]

    def create_version(self, name: str, source: str, run_id: str, tags: Mapping[str, str], told: str) -> MlflowVersion:
        """Create a version of a model; `told` is its description."""
        asked = {"name": name, "source": source, "run_id": run_id, "tags": _pairs(tags), "description": told}
        return _version(self.connection.call("POST", "model-versions/create", asked)["model_version"])

    def tag_version(self, name: str, number: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        asked = {"name": name, "version": number, "key": key, "value": value}
        self.connection.call("POST", "model-versions/set-tag", asked)

    def set_alias(self, name: str, alias: str, number: str) -> None:
        """Point an alias to a version."""
        asked = {"name": name, "alias": alias, "version": number}
        self.connection.call("POST", "registered-models/alias", asked)

    def drop_alias(self, name: str, alias: str) -> None:
        """Delete an alias."""
        self.connection.call("DELETE", "registered-models/alias", {"name": name, "alias": alias})

    def by_alias(self, name: str, alias: str) -> MlflowVersion:
        """The version that an alias points to."""
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
        """The bytes of an artifact; raises MlflowError if the server itself does not store it."""
        if not uri.startswith(PROXIED):
            raise MlflowError(f"{uri} lies outside of the MLflow server; expected {PROXIED}..., which it serves itself")
        return self.connection.get(uri.removeprefix(PROXIED).lstrip("/"))


@contextmanager
def opened(url: str, authorize: Authorize, seconds: float, each: float = CALL_SECONDS) -> Generator[Api]:
    """MLflow's API over one connection, closed at the end; `seconds` limits all calls together, `each` one call."""
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
