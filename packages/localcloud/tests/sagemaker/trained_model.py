"""What an image runs in a job of these tests: it does what it is told, and nothing else.

A training job tells it by its hyperparameters, a processing job by variables that begin with `WISH_`. `files` (JSON:
content by path below /opt/ml) are written; `lines` (JSON) are printed; `fork` leaves a child behind; `until` is a file
that it waits for, after making one beside it that ends in `.waits`; `deaf` lets it ignore SIGTERM, and `on_term` (JSON:
content by path) is written when it comes; `put` (JSON: bucket, key, body) is put to S3 with the credentials it finds;
`exit` is its exit code. What it saw goes to `model/seen.json`, or to `processing/seen/seen.json`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(os.environ.get("OPT_ML", "/opt/ml"))


def write(files: dict[str, str]) -> None:
    for path, content in files.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(content)


def saw(wish: dict[str, str]) -> None:
    processes = (ROOT / "processing").exists()
    inputs = ROOT / ("processing" if processes else "input/data")
    settings = (ROOT / ("config" if processes else "input/config")).iterdir()
    config = {path.stem: json.loads(path.read_text()) for path in settings}
    data = {
        str(path.relative_to(inputs)): path.read_text(errors="replace")
        for path in sorted(inputs.rglob("*"))
        if path.is_file()
    }
    seen = {"config": config, "data": data, "environment": dict(os.environ), "arguments": sys.argv[1:]}
    seen |= {"wish": wish, "nice": os.nice(0)}
    write({f"{'processing/seen' if processes else 'model'}/seen.json": json.dumps(seen)})


def wait(until: Path) -> None:
    until.with_suffix(".waits").touch()
    while not until.exists():
        time.sleep(0.01)


def end(wish: dict[str, str]) -> None:
    write(json.loads(wish.get("on_term", "{}")))
    sys.exit(143)


def wished() -> dict[str, str]:
    hyperparameters = ROOT / "input/config/hyperparameters.json"
    if hyperparameters.exists():
        return json.loads(hyperparameters.read_text())
    return {name[5:]: value for name, value in os.environ.items() if name.startswith("WISH_")}


def main() -> None:
    wish = wished()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in wish else lambda *_: end(wish))
    saw(wish)
    write(json.loads(wish.get("files", "{}")))
    for line in json.loads(wish.get("lines", "[]")):
        print(line, flush=True)
    if "put" in wish:
        import boto3

        bucket, key, body = json.loads(wish["put"])
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    if "fork" in wish:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if "until" in wish:
        wait(Path(wish["until"]))
    sys.exit(int(wish.get("exit", "0")))


main()
