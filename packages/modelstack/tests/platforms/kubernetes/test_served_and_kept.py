"""A real serving process that posts its captures: kept, joined with a label, measured, and replayed against itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelstack.platforms.kubernetes.captures import Captures, intake
from modelstack.platforms.kubernetes.database import Database
from tests.listening import Quiet, listening
from tests.platforms.kubernetes.labelled import ROLLOUT, World
from tests.platforms.kubernetes.test_assembled import Cluster, gate
from tests.serving.packages import INSTANCE, served, write

pytestmark = [pytest.mark.e2e, pytest.mark.needs("postgresql")]
ANSWERS = {"kind": "regression", "value": "score", "largest_error": 10}


@contextmanager
def taking_in(store: Database, endpoint: str) -> Iterator[str]:
    class Handler(Quiet):
        def do_POST(self) -> None:
            lines = self.rfile.read(int(self.headers["Content-Length"]))
            intake(store, endpoint, self.path.strip("/"), lines)
            self.send_response(204)
            self.end_headers()

    with listening(Handler) as url:
        yield url


def test_what_a_server_captures_is_joined_and_replayed(store: Database, endpoint: str, tmp_path: Path) -> None:
    world = World(store, endpoint)
    world.members["v-a", "answer.json"] = ANSWERS
    with taking_in(store, endpoint) as url:
        told = {"MODELSTACK_CAPTURE": f"{url}/v-a", "MODELSTACK_VARIANT": "v-a"}
        with served(tmp_path / "m", write(tmp_path / "m"), **told) as server:
            status, answer, _ = server.ask({"instances": [INSTANCE]}, X_Amzn_SageMaker_Inference_Id="flight 7")
            assert status == 200
            captures, end = Captures(store, endpoint), time.monotonic() + 30
            while not captures.keys("v-a", "", 9):
                assert time.monotonic() < end, "nothing was posted"
                time.sleep(0.1)
            world.labelled(("flight 7", answer["predictions"][0]["score"] + 2))
            assert world.run() == 1
            of = {"rollout": ROLLOUT, "variant": "v-a"}
            assert world.seen("absolute_error_count", **of) == 1
            assert world.seen("absolute_error_sum", **of) == pytest.approx(2)
            assert world.seen("captured_exchanges_total", variant="v-a") == 1

            seen = gate(Cluster(server.url), store, endpoint).run("v-a", "v-a", 10)
            assert (seen.requests, seen.errors, seen.changed) == (1, 0, 0)
            time.sleep(2)  # what the replay asked was captured, too, and is left out
    assert world.seen("captured_exchanges_total", variant="v-a") == 1
