"""A package is brought to where it is served: by its digest, whole, verified before it is unpacked, or not at all."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from modelstack.pipeline import archive
from modelstack.pipeline.project import SOURCES
from modelstack.serving import download as downloading
from modelstack.serving import fetch as fetching
from modelstack.serving.download import (
    BucketSource,
    Credentials,
    DownloadError,
    Refused,
    RegistrySource,
    download,
    signed,
)
from modelstack.serving.fetch import PackageSource
from modelstack.serving.package import PackageRefused, verify
from modelstack.serving.registry import Repository, send
from modelstack.serving.registry_protocol import Login, ProtocolError, is_insecure
from modelstack.serving.settings import SettingError
from tests.serving.packages import write
from tests.serving.shelf import Shelf, shelf

MOST_KB = 50_000
LOGIN = {"auth": base64.b64encode(b"ana:secret").decode()}


@dataclass(frozen=True)
class Made:
    content: bytes
    digest: str
    manifest_sha256: str

    @property
    def path(self) -> str:
        return f"/v2/m/blobs/{self.digest}"

    def wanted(self, at: Shelf, folder: Path, **changes: Any) -> PackageSource:
        source = RegistrySource(Repository(at.host, "m", insecure=True), self.digest)
        whole = PackageSource(source, self.digest[7:], self.manifest_sha256, folder)
        return replace(whole, **changes)

    def environment(self, at: Shelf, folder: Path, **changes: str) -> dict[str, str]:
        return {
            "MODELSTACK_ARCHIVE": f"oci://{at.host}/m@{self.digest}",
            "MODELSTACK_MANIFEST_SHA256": self.manifest_sha256,
            "SM_MODEL_DIR": str(folder),
            **changes,
        }


def made_of(folder: Path, *, weights: bytes = b"", **changed: bytes) -> Made:
    """A small package, with files that contradict its manifest where given."""
    manifest_sha256 = write(folder, weights={"model.bin": weights})
    files = {one.relative_to(folder).as_posix(): one for one in folder.rglob("*") if one.is_file()}
    return sealed_as({**files, **changed}, manifest_sha256, folder.with_suffix(".tar.gz"))


def sealed_as(files: dict[str, Any], manifest_sha256: str, to: Path) -> Made:
    digest = archive.seal(files, to)
    return Made(to.read_bytes(), digest, manifest_sha256)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_of(tmp_path_factory.mktemp("package") / "inside", weights=os.urandom(400_000))


@pytest.fixture
def at(made: Made) -> Iterator[Shelf]:
    with shelf(blobs={made.path: made.content}) as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "model"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    asked: list[float] = []
    monkeypatch.setattr(downloading.time, "sleep", asked.append)
    return asked


def run(environment: dict[str, str], *, prefix: tuple[str, ...] = ()) -> tuple[int, str]:
    """The status and output of the command."""
    done = subprocess.run(
        [*prefix, sys.executable, "-P", "-m", "modelstack.serving", "fetch"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr.strip()


@pytest.mark.slow
def test_a_package_is_fetched_whole_and_a_second_run_asks_nobody(made: Made, at: Shelf, folder: Path) -> None:
    status, said = run(made.environment(at, folder))
    assert (status, said.splitlines()[-1][:13]) == (0, "fetched oci:/")
    verify(folder, made.manifest_sha256)
    assert sorted(one.name for one in folder.iterdir()) == [
        *("code", "example.json", "features.json", "manifest.json", "metrics.json", "model.bin")
    ]
    asked = len(at.asked)
    status, said = run(made.environment(at, folder))
    assert (status, len(at.asked)) == (0, asked)
    assert said == f"the package is in {folder} already, and is right"


@pytest.mark.slow
@pytest.mark.parametrize("wants", ["basic", "bearer"])
def test_the_login_of_the_docker_config_is_used_and_asked_for_once(
    made: Made, at: Shelf, folder: Path, tmp_path: Path, wants: str
) -> None:
    at.wants = wants
    (tmp_path / "config.json").write_text(json.dumps({"auths": {at.host: LOGIN}}))
    assert run(made.environment(at, folder, DOCKER_CONFIG=str(tmp_path)))[0] == 0
    first = at.asked[0][1]
    assert "Authorization" not in first
    status, said = run(made.environment(at, folder.with_name("other")))
    assert status == 4
    who = f"{at.host}, which gives its tokens," if wants == "bearer" else at.host
    assert f"{who} answers 401 and says: " in said


def test_who_asks_is_not_told_to_where_a_registry_redirects(made: Made, at: Shelf, folder: Path) -> None:
    with shelf(wants="basic", to=f"http://{at.host}") as first:
        source = RegistrySource(Repository(first.host, "m", Login("ana", "secret"), insecure=True), made.digest)
        fetching.fetch(made.wanted(at, folder, source=source), lambda _: None)
    assert first.asked[-1][1]["Authorization"].startswith("Basic ")
    assert all("Authorization" not in headers for _, headers in at.asked)


def test_no_redirect_leads_from_tls_to_none(made: Made, at: Shelf) -> None:
    """The first answer comes without TLS, too: only the request is one that wants it."""
    with shelf(to=f"http://{at.host}") as first, pytest.raises(ProtocolError, match=f"{at.host}, which .* without TLS"):
        send(urllib.request.Request(f"http://{first.host}{made.path}"), insecure=False)
    assert at.asked == []


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_breaks_goes_on_where_it_ended(
    made: Made, at: Shelf, folder: Path, waits: list[float], ranges: bool
) -> None:
    at.ranges, at.faults = ranges, [("cut", 100_000), ("status", 503), ("cut", 50_000), ("status", 429)]
    fetching.fetch(made.wanted(at, folder), lambda _: None)
    verify(folder, made.manifest_sha256)
    assert at.ranges_asked()[1] == "bytes=100000-"
    assert waits == [1, 2, 1, 2]


def test_a_server_that_stays_away_is_given_up_with_its_last_words(
    made: Made, at: Shelf, folder: Path, waits: list[float]
) -> None:
    at.faults = [("status", 503)] * 6
    with pytest.raises(DownloadError, match=r"tried 6 times: .* answers 503 and says: TOOBUSY: come again"):
        fetching.fetch(made.wanted(at, folder), lambda _: None)
    assert waits == list(downloading.PAUSES)
    assert not (folder / "manifest.json").exists()
    with shelf() as gone:
        pass
    with pytest.raises(DownloadError, match=r"tried 6 times: .*refused"):
        fetching.fetch(made.wanted(gone, folder), lambda _: None)


def test_what_is_not_there_is_not_asked_for_twice(made: Made, at: Shelf, folder: Path) -> None:
    at.blobs.clear()
    status, said = run(made.environment(at, folder))
    assert (status, len(at.asked)) == (4, 1)
    assert said == (
        f"cannot fetch: cannot read oci://{at.host}/m@{made.digest}: {at.host} answers 404 and says: BLOB_UNKNOWN: "
        "blob unknown to registry"
    )


@pytest.mark.parametrize("how", ["flipped", "longer", "shorter", "another"])
def test_other_bytes_than_the_digest_says_are_never_unpacked(
    made: Made, at: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    content = made.content
    at.blobs[made.path] = {
        "flipped": content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
        "longer": content + b"\0",
        "shorter": content[:-1],
        "another": gzip.compress(b"x"),
    }[how]
    monkeypatch.setattr(fetching, "unpack", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(PackageRefused, match=f"expected {made.digest[7:]}: nothing of it was unpacked"):
        fetching.fetch(made.wanted(at, folder), lambda _: None)
    assert not (folder / "manifest.json").exists()


def test_the_manifest_is_put_in_place_last(
    made: Made, at: Shelf, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, to: moved.append(Path(to).name) or rename(self, to))
    fetching.fetch(made.wanted(at, folder), lambda _: None)
    assert moved[-1] == "manifest.json"
    assert len(moved) == len([*folder.iterdir()])


def test_an_endless_answer_is_cut_off(made: Made, at: Shelf, tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file, pytest.raises(Refused, match="longer than 100,000 bytes"):
        download(made.wanted(at, tmp_path).source, file, limit=100_000)


def tar_of(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=form) as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def entry(name: str, **headers: str) -> tarfile.TarInfo:
    one = tarfile.TarInfo(name)
    one.pax_headers = headers
    return one


def negative() -> bytes:
    """An entry whose size is said to be -1, in GNU's base 256."""
    header = bytearray(entry("a").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 12
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + bytes(1024))


# What else is refused in an archive is in packages/modelstack/tests/pipeline/test_archive.py.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "above": lambda: tar_of((entry("../evil"), b"x")),
    "renamed by a header": lambda: tar_of((entry("a", path="../evil"), b"x"), form=tarfile.PAX_FORMAT),
    "negative size": negative,
    "no gzip": lambda: b"no gzip",
}


@pytest.mark.parametrize("how", HOSTILE)
def test_an_archive_that_reaches_out_of_its_folder_is_refused_even_by_its_own_digest(
    at: Shelf, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = hostile(at, HOSTILE[how]())
    assert fetching.run(bad.environment(at, tmp_path / "in" / "model")) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("cannot fetch: the package is refused: ")
    assert not list(tmp_path.rglob("evil"))
    assert [one.name for one in (tmp_path / "in" / "model").iterdir()] == [".fetch"]


def hostile(at: Shelf, content: bytes) -> Made:
    bad = Made(content, "sha256:" + hashlib.sha256(content).hexdigest(), "0" * 64)
    at.blobs[bad.path] = content
    return bad


@pytest.mark.slow
def test_a_header_is_never_read_into_memory(at: Shelf, folder: Path) -> None:
    bad = hostile(at, tar_of((entry("a", comment="x" * 200_000_000), b"x"), form=tarfile.PAX_FORMAT))
    status, said = run(bad.environment(at, folder), prefix=("sh", "-c", 'ulimit -v 200000; exec "$@"', "sh"))
    assert status == 1, said
    assert said.endswith("'././@PaxHeader' is not a plain file")


def test_a_package_with_another_manifest_or_another_file_is_refused(made: Made, at: Shelf, tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match=r"manifest\.json has sha256 .*, expected 0000"):
        fetching.fetch(made.wanted(at, tmp_path / "a", manifest_sha256="0" * 64), lambda _: None)
    other = made_of(tmp_path / "b", **{"metrics.json": b"{}"})
    at.blobs[other.path] = other.content
    with pytest.raises(PackageRefused, match=r"metrics\.json has sha256 .*, expected"):
        fetching.fetch(other.wanted(at, tmp_path / "c"), lambda _: None)
    assert not (tmp_path / "c" / "manifest.json").exists()


@pytest.mark.parametrize("what", ["changed", "added", "missing", "half"])
def test_a_folder_that_does_not_hold_the_package_is_filled_anew(made: Made, at: Shelf, folder: Path, what: str) -> None:
    wanted, said = made.wanted(at, folder), list[str]()
    fetching.fetch(wanted, said.append)
    if what == "changed":
        (folder / "metrics.json").write_text("{}")
    elif what == "added":
        (folder / "code" / "evil.py").write_text("")
    elif what == "missing":
        (folder / "model.bin").unlink()
    else:  # killed between two renames
        (folder / "manifest.json").unlink()
        (folder / ".fetch").mkdir()
    fetching.fetch(wanted, said.append)
    verify(folder, made.manifest_sha256)
    assert len(at.asked) == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_fetch_that_was_ended_leaves_nothing_that_serves_and_is_repeated(
    made: Made, at: Shelf, folder: Path, how: signal.Signals
) -> None:
    blocked = threading.Event()
    at.pause = lambda: blocked.wait(60)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), **made.environment(at, folder)}
    process = subprocess.Popen([sys.executable, "-P", "-m", "modelstack.serving", "fetch"], env=environment)
    end = time.monotonic() + 60
    while not (folder / ".fetch" / "archive").exists() and time.monotonic() < end:
        pass
    process.send_signal(how)
    assert process.wait(30) == {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143}[how]
    blocked.set()
    assert not (folder / "manifest.json").exists()
    assert run(made.environment(at, folder))[0] == 0
    verify(folder, made.manifest_sha256)


def test_a_full_disk_is_told_and_not_tried_again(made: Made, at: Shelf, folder: Path) -> None:
    status, said = run(made.environment(at, folder), prefix=("sh", "-c", 'ulimit -f 100; exec "$@"', "sh"))
    assert (status, len(at.asked)) == (4, 1)
    assert "File too large" in said


@pytest.mark.parametrize(
    "wrong",
    [
        ("MODELSTACK_ARCHIVE", "", "expected oci://HOST"),
        ("MODELSTACK_ARCHIVE", "oci://r/m:latest", "expected oci://HOST"),
        ("MODELSTACK_ARCHIVE", "https://r/m", "expected oci://HOST"),
        ("MODELSTACK_ARCHIVE", "s3://bucket/key", "MODELSTACK_ARCHIVE_SHA256 is ''"),
        ("MODELSTACK_MANIFEST_SHA256", "ab", "MODELSTACK_MANIFEST_SHA256 is 'ab'"),
        ("MODELSTACK_INSECURE_REGISTRY", "registry.example", "only an address of a private network"),
    ],
)
def test_a_variable_that_is_not_allowed_is_named_with_what_is(
    made: Made, at: Shelf, folder: Path, wrong: tuple[str, str, str]
) -> None:
    name, value, told = wrong
    environment = made.environment(at, folder, **{name: value})
    if name == "MODELSTACK_INSECURE_REGISTRY":
        environment["MODELSTACK_ARCHIVE"] = f"oci://{value}/m@{made.digest}"
    with pytest.raises(SettingError, match=told):
        PackageSource.of(environment)
    assert fetching.run(environment) == 2
    assert not folder.exists()


def test_a_registry_is_asked_over_tls_unless_it_is_near_or_named(made: Made, at: Shelf, folder: Path) -> None:
    source = RegistrySource(Repository(at.host, "m"), made.digest)
    with pytest.raises(ProtocolError, match=r"answers without TLS.* at 10\.99\.0\.1, "):
        fetching.fetch(made.wanted(at, folder, source=source), lambda _: None)
    assert at.asked == []
    named = {"MODELSTACK_INSECURE_REGISTRY": "10.0.0.5:5000"}
    near = ("localhost:1", "127.0.0.1:1", "[::1]:1", "10.99.0.1:5000", "10.0.0.5:5000")
    assert all(is_insecure(one, named) for one in near)
    assert not any(is_insecure(one, named) for one in ("10.0.0.5:443", "registry.example", "127.0.0.1.example:1"))


@pytest.mark.parametrize("token", ["", "session"])
def test_the_signature_of_s3_is_the_one_that_aws_writes(token: str) -> None:
    url = "https://s3.eu-west-1.amazonaws.com/bucket/packages/a%20b/model.tar.gz"
    request = AWSRequest("GET", url)
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(b"").hexdigest()
    auth = S3SigV4Auth(BotoCredentials("key", "secret", token or None), "s3", "eu-west-1")
    auth.add_auth(request)
    at = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = signed(url, Credentials("key", "secret", token), "eu-west-1", at)
    assert ours["Authorization"] == request.headers["Authorization"]


def test_a_bucket_is_asked_at_its_endpoint_with_the_keys_of_the_environment(made: Made, folder: Path) -> None:
    with shelf(blobs={"/bucket/packages/a%20b": made.content}) as at:
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
        where = {"AWS_ENDPOINT_URL_S3": f"http://{at.host}", "MODELSTACK_ARCHIVE": "s3://bucket/packages/a b"}
        environment = made.environment(at, folder, **keys, **where, MODELSTACK_ARCHIVE_SHA256=made.digest[7:])
        assert fetching.run(environment) == 0
    verify(folder, made.manifest_sha256)
    assert at.asked[0][1]["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
    with pytest.raises(ProtocolError, match="endpoint of S3 is 'file:///etc'"):
        BucketSource.of("s3://bucket/key", {"AWS_ENDPOINT_URL_S3": "file:///etc"})


@pytest.mark.slow
def test_the_size_of_an_archive_is_not_the_size_of_the_process(at: Shelf, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    with weights.open("wb") as file:
        file.truncate(100_000_000)
    listed = {"files": {"weights": hashlib.sha256(bytes(100_000_000)).hexdigest()}}
    manifest = json.dumps(listed).encode()
    large = sealed_as(
        {"weights": weights, "manifest.json": manifest}, hashlib.sha256(manifest).hexdigest(), tmp_path / "large"
    )
    at.blobs[large.path] = large.content
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), **large.environment(at, tmp_path / "model")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, "-P", "-m", "modelstack.serving", "fetch"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < MOST_KB


MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a program, and prints how many kB it had at most; a process of the tests' size would hand its own on."""
