"""What an image runs in a training job of these tests: it does what the hyperparameters say, and nothing else.

`files` (JSON: content by path below /opt/ml) are written; `lines` (JSON) are printed; `fork` leaves a child behind;
`until` is a file that it waits for, after making one beside it that ends in `.waits`; `deaf` lets it ignore SIGTERM,
and `on_term` (JSON: content by path) is written when it comes; `put` (JSON: bucket, key, body) is put to S3 with the
credentials it finds; `exit` is its exit code. What it saw goes to `model/seen.json`.
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
    config = {path.stem: json.loads(path.read_text()) for path in (ROOT / "input/config").iterdir()}
    data = {
        str(path.relative_to(ROOT / "input/data")): path.read_text(errors="replace")
        for path in sorted((ROOT / "input/data").rglob("*"))
        if path.is_file()
    }
    seen = {"config": config, "data": data, "environment": dict(os.environ), "arguments": sys.argv[1:]}
    seen |= {"wish": wish, "nice": os.nice(0)}
    write({"model/seen.json": json.dumps(seen)})


def wait(until: Path) -> None:
    until.with_suffix(".waits").touch()
    while not until.exists():
        time.sleep(0.01)


def end(wish: dict[str, str]) -> None:
    write(json.loads(wish.get("on_term", "{}")))
    sys.exit(143)


def main() -> None:
    wish = json.loads((ROOT / "input/config/hyperparameters.json").read_text())
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
