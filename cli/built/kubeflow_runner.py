"""Runs a compiled pipeline by Kubeflow's own SDK, in its environment, which has nothing of ours.

    python kubeflow_runner.py PIPELINE FOLDER ARGUMENTS SETTINGS

Each step runs in a container of the Docker engine, as the SDK's DockerRunner starts it, and leaves its outcome below
FOLDER. ARGUMENTS are those of the run, and SETTINGS those of each container, JSON objects both. The last line of
standard output is what the pipeline gives, as a JSON object; the status is not 0 if a step fails.
"""

from __future__ import annotations

import json
import sys

from kfp import components, local


def main(file: str, folder: str, arguments: str, settings: str) -> None:
    """Run every step."""
    local.init(runner=local.DockerRunner(entrypoint=[""], **json.loads(settings)), pipeline_root=folder)
    pipeline = components.load_component_from_file(file)
    print(json.dumps({name: str(one) for name, one in pipeline(**json.loads(arguments)).outputs.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
