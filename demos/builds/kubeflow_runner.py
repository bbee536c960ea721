"""Runs a compiled pipeline by Kubeflow's own SDK, in its environment, which has nothing of ours.

    python kubeflow_runner.py PIPELINE FOLDER < GIVEN

Each step runs in a container of the Docker engine, as the SDK's DockerRunner starts it, and leaves its outcome below
FOLDER. GIVEN is a JSON object: `arguments` of the run, and `settings` of each container, among them keys, which no
command line may hold. The status is not 0 if a step fails.
"""

from __future__ import annotations

import json
import sys

from kfp import components, local


def main(file: str, folder: str) -> None:
    """Run every step."""
    given = json.load(sys.stdin)
    local.init(runner=local.DockerRunner(entrypoint=[""], **given["settings"]), pipeline_root=folder)
    components.load_component_from_file(file)(**given["arguments"])


if __name__ == "__main__":
    main(*sys.argv[1:])
