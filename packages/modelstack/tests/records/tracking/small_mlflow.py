"""A small MLflow in memory over real HTTP, with failures on request.

It is as strict and as idempotent as the real server, which `packages/modelstack/tests/e2e/test_mlflow_story.py` checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.listening import Quiet, listening

Answer = dict[str, Any]


class Missing(Exception):
    """There is no such thing."""


@dataclass
class SmallMlflow:
    """The state of the server, and its calls.

    Attributes:
        headers: Those of the last request.
        fails_at: The number of the call, from 0, that gets a 503; None: none.
        takes_it: Whether that call takes effect, so that only its answer is lost.
    """

    url: str = ""
    calls: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    fails_at: int | None = None
    takes_it: bool = False
    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Any] = field(default_factory=dict)
    models: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)

    def facts(self) -> Any:
        """All that is known, without what a repetition may change."""
        return json.loads(
            json.dumps([self.experiments, self.runs, self.models, sorted(self.artifacts)], default=sorted)
        )

    def one_run(self) -> Any:
        (run,) = self.runs.values()
        return run

    def answer(self, method: str, path: str, asked: Answer) -> Answer:
        name = path.replace("/", "_").replace("-", "_")
        return getattr(self, f"{method.lower()}_{name}")(asked)

    def get_experiments_get_by_name(self, asked: Answer) -> Answer:
        return {"experiment": {"experiment_id": _of(self.experiments, asked["experiment_name"])}}

    def post_experiments_create(self, asked: Answer) -> Answer:
        return {"experiment_id": self.experiments.setdefault(asked["name"], str(len(self.experiments) + 1))}

    def post_runs_search(self, asked: Answer) -> Answer:
        key, _, value = asked["filter"].removeprefix("tags.").partition(" = ")
        found = [run for run in self.runs.values() if run["tags"].get(key) == value.strip("'")]
        return {"runs": [{"info": run["info"]} for run in found if run["experiment"] in asked["experiment_ids"]]}

    def get_runs_get(self, asked: Answer) -> Answer:
        return {"run": {"info": _of(self.runs, asked["run_id"])["info"]}}

    def post_runs_create(self, asked: Answer) -> Answer:
        id_ = f"run{len(self.runs)}"
        info = {"run_id": id_, "artifact_uri": f"mlflow-artifacts:/{asked['experiment_id']}/{id_}/artifacts"}
        tags = {one["key"]: one["value"] for one in asked["tags"]}
        self.runs[id_] = {
            **{"info": info, "experiment": asked["experiment_id"], "name": asked["run_name"], "tags": tags},
            **{"params": {}, "metrics": set(), "inputs": {}, "status": "RUNNING"},
        }
        return {"run": {"info": info}}

    def post_runs_log_batch(self, asked: Answer) -> Answer:
        run = _of(self.runs, asked["run_id"])
        assert len(asked.get("params", [])) <= 100 and len(asked.get("metrics", [])) <= 1000
        run["params"] |= {one["key"]: one["value"] for one in asked.get("params", [])}
        run["tags"] |= {one["key"]: one["value"] for one in asked.get("tags", [])}
        run["metrics"] |= {
            (one["key"], one["value"], one["timestamp"], one["step"]) for one in asked.get("metrics", [])
        }
        return {}

    def post_runs_log_inputs(self, asked: Answer) -> Answer:
        for one in asked["datasets"]:
            _of(self.runs, asked["run_id"])["inputs"][one["dataset"]["digest"]] = one
        return {}

    def post_runs_update(self, asked: Answer) -> Answer:
        _of(self.runs, asked["run_id"])["status"] = asked["status"]
        return {}

    def post_registered_models_create(self, asked: Answer) -> Answer:
        if asked["name"] in self.models:
            raise ValueError("RESOURCE_ALREADY_EXISTS")
        self.models[asked["name"]] = {"aliases": {}, "versions": []}
        return {}

    def get_registered_models_get(self, asked: Answer) -> Answer:
        aliases = _of(self.models, asked["name"])["aliases"]
        return {"registered_model": {"aliases": [{"alias": key, "version": at} for key, at in aliases.items()]}}

    def post_registered_models_alias(self, asked: Answer) -> Answer:
        _of(self.models, asked["name"])["aliases"][asked["alias"]] = asked["version"]
        return {}

    def delete_registered_models_alias(self, asked: Answer) -> Answer:
        _of(self.models, asked["name"])["aliases"].pop(asked["alias"], None)
        return {}

    def get_model_versions_search(self, asked: Answer) -> Answer:
        found = self.models.get(asked["filter"].split("'")[1], {"versions": []})["versions"][::-1]
        begin, most = int(asked.get("page_token", 0)), min(2, int(asked["max_results"]))
        more = {"next_page_token": str(begin + most)} if begin + most < len(found) else {}
        return {"model_versions": [_told(one) for one in found[begin : begin + most]], **more}

    def post_model_versions_create(self, asked: Answer) -> Answer:
        versions = _of(self.models, asked["name"])["versions"]
        tags = {one["key"]: one["value"] for one in asked["tags"]}
        versions.append({**asked, "version": str(len(versions) + 1), "tags": tags})
        return {"model_version": _told(versions[-1])}

    def post_model_versions_set_tag(self, asked: Answer) -> Answer:
        versions = _of(self.models, asked["name"])["versions"]
        versions[int(asked["version"]) - 1]["tags"][asked["key"]] = asked["value"]
        return {}

    def get_model_versions_get(self, asked: Answer) -> Answer:
        versions = _of(self.models, asked["name"])["versions"]
        found = [one for one in versions if one["version"] == asked["version"]]
        return {"model_version": _told(_of(dict(enumerate(found)), 0))}

    def get_registered_models_alias(self, asked: Answer) -> Answer:
        number = _of(_of(self.models, asked["name"])["aliases"], asked["alias"])
        return self.get_model_versions_get({"name": asked["name"], "version": number})

    def get_model_versions_get_download_uri(self, asked: Answer) -> Answer:
        return {"artifact_uri": self.get_model_versions_get(asked)["model_version"]["source"]}


def _of(known: Any, key: Any) -> Any:
    if key not in known:
        raise Missing(key)
    return known[key]


def _told(version: Answer) -> Answer:
    return {**version, "tags": [{"key": key, "value": value} for key, value in version["tags"].items()]}


@contextmanager
def small_mlflow() -> Iterator[SmallMlflow]:
    known = SmallMlflow()
    with listening(type("Handler", (_Handler,), {"known": known})) as known.url:
        yield known


class _Handler(Quiet):
    known: SmallMlflow
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        known = self.known
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        known.headers = dict(self.headers.items())
        number, parts = len(known.calls), urlsplit(self.path)
        known.calls.append(f"{self.command} {parts.path.partition('mlflow')[2].lstrip('/')}")
        fails = number == known.fails_at
        status, answer = (503, b"") if fails and not known.takes_it else self._done(parts, body)
        self.send_response(503 if fails else status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _done(self, parts: Any, body: bytes) -> tuple[int, bytes]:
        known = self.known
        before, of_api, path = parts.path.partition("/api/2.0/mlflow/")
        if not of_api:
            name = unquote(before.partition("/mlflow-artifacts/artifacts/")[2])
            if self.command == "PUT":
                known.artifacts[name] = body
            return (200, known.artifacts[name]) if name in known.artifacts else (404, b"{}")
        asked = dict(parse_qsl(parts.query)) if self.command == "GET" else json.loads(body)
        try:
            return 200, json.dumps(known.answer(self.command, path, asked), default=sorted).encode()
        except Missing as missing:
            told = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no {missing}"}
            return 404, json.dumps(told).encode()
        except ValueError as error:
            return 400, json.dumps({"error_code": str(error), "message": ""}).encode()

    do_GET = do_POST = do_PUT = do_DELETE = _answer
