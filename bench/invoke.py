"""How many requests a second pass through the local cloud, and what does it add to each?

    python -m bench invoke

A running cloud with one endpoint, whose model answers at once (`instant_model`) and of which every request is captured.
The requests are InvokeEndpoint's as boto3 sends them. Each has a body of its own, and is signed beforehand by a user
whom a policy of twelve statements lets. They go over kept-alive connections, from one thread with raw sockets. The same
load put straight on the model stands beside it.
"""

from __future__ import annotations

import json
import selectors
import socket
import statistics
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import boto3
import psutil
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HTTPHeaders

from bench.bed import BenchError
from bench.idle import cpu_of
from bench.instant_model import length
from bench.rows import Row, sized
from localcloud.testing import Cloud

_ENDPOINT, _BUCKET, _VARIANT = "orders", "models", "main"
_CONNECTIONS = 8
_REQUESTS, _SIGNED, _ALONE, _BOTO3 = 15_000, 250, 2_000, 500
_BLOCK = 50  # requests of one connection in turn, through the cloud and straight
_WARM = 200
_ROW = {"carrier": "UA", "origin": "EWR", "dest": "IAH", "sched_dep_hour": 5, "distance": 1400, "wind_speed": 12.7}


@dataclass(frozen=True)
class _Load:
    """What a load came to; CPU seconds are of whoever bore it."""

    requests: int
    seconds: float
    generator: float
    cloud: float
    model: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def each(self, cpu: float) -> str:
        return f"{1e3 * cpu / self.requests:.2f} ms"


def rows() -> list[Row]:
    """Requests a second through the cloud on eight connections, and what it adds to one."""
    with TemporaryDirectory(prefix="modelstack-bench-") as name:
        cloud = Cloud(Path(name) / "cloud", _configuration(Path(name)))
        cloud.start()
        try:
            return _measured(cloud)
        finally:
            cloud.stop()


def _measured(cloud: Cloud) -> list[Row]:
    _deploy(cloud)
    caller = _caller(cloud)
    model = _model_of(cloud)
    signed = [_signed(caller, number) for number in range(sized(_SIGNED, 10))]
    plain = [_straight(number) for number in range(len(signed))]
    port = next(one.laddr.port for one in model.net_connections() if one.status == psutil.CONN_LISTEN)
    processes = (psutil.Process(cloud.pid), model)
    _load(cloud.port, signed, sized(_WARM, _CONNECTIONS), processes)
    through = _load(cloud.port, signed, sized(_REQUESTS, 100), processes)
    straight = _load(port, plain, sized(_REQUESTS, 100), processes)
    alone = _alone(cloud.port, signed, port, plain)
    median = [statistics.median(each) for each in alone]
    late = statistics.quantiles(alone[0], n=100)[-1]
    cpu = (
        f"CPU a request: the cloud {through.each(through.cloud)}, the model {through.each(through.model)}, "
        f"who asks {through.each(through.generator)}"
    )
    return [
        Row(
            "local_invoke_rps",
            round(through.rate),
            "requests a second",
            ">= 1500",
            f"straight to the model {straight.rate:,.0f}. {cpu}. A boto3 client in a loop {_boto3_rate(caller):.0f}",
        ),
        Row(
            "local_invoke_overhead_ms",
            round(median[0] - median[1], 2),
            "ms",
            "<= 0.5",
            f"one connection: {median[0]:.2f} ms through the cloud (p99 {late:.2f}), {median[1]:.2f} ms straight",
        ),
    ]


def _configuration(folder: Path) -> Path:
    program = str(Path(__file__).with_name("instant_model.py"))
    config = folder / "localcloud.toml"
    config.write_text(
        f'[[image]]\nrepository = "*-serving"\ncommand = {json.dumps([sys.executable, program, "serve"])}\n'
    )
    return config


def _deploy(cloud: Cloud) -> None:
    """Bring up the endpoint, with capture of everything."""
    s3, sagemaker = cloud.client("s3"), cloud.client("sagemaker")
    s3.create_bucket(Bucket=_BUCKET)
    packed = BytesIO()
    tarfile.open(fileobj=packed, mode="w:gz").close()
    s3.put_object(Bucket=_BUCKET, Key="model.tar.gz", Body=packed.getvalue())
    trust = _policy({"Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"})
    role = cloud.client("iam").create_role(RoleName="serving", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/orders-serving:1"
    container = {"Image": image, "ModelDataUrl": f"s3://{_BUCKET}/model.tar.gz"}
    sagemaker.create_model(ModelName=_ENDPOINT, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": _VARIANT, "ModelName": _ENDPOINT, "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName=_ENDPOINT,
        ProductionVariants=[{**variant, "InstanceType": "ml.m5.large", "InitialVariantWeight": 1}],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{_BUCKET}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
    )
    sagemaker.create_endpoint(EndpointName=_ENDPOINT, EndpointConfigName=_ENDPOINT)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=_ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def _caller(cloud: Cloud) -> Any:
    """A client of a user whose policy is as long as that of a stack's role, the statement about this endpoint last."""
    iam = cloud.client("iam")
    iam.create_user(UserName="caller")
    others = [
        {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{name}/*"} for name in "abcdefghijk"
    ]
    own = {"Action": "sagemaker:InvokeEndpoint", "Resource": f"arn:aws:sagemaker:*:*:endpoint/{_ENDPOINT}"}
    iam.put_user_policy(UserName="caller", PolicyName="invoke", PolicyDocument=_policy(*others, own))
    key = iam.create_access_key(UserName="caller")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    return session.client("sagemaker-runtime", endpoint_url=cloud.url)


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]})


def _model_of(cloud: Cloud) -> psutil.Process:
    """The process that serves."""
    return next(
        one
        for one in psutil.Process(cloud.pid).children(recursive=True)
        if any(part.endswith("instant_model.py") for part in one.cmdline())
    )


def _asked(number: int) -> dict[str, Any]:
    body = json.dumps({"instances": [{**_ROW, "number": number}]}).encode()
    return {"ContentType": "application/json", "Accept": "application/json", "Body": body}


def _signed(client: Any, number: int) -> bytes:
    """The bytes that boto3 sends for an invocation."""
    kept: list[AWSPreparedRequest] = []
    asked = _asked(number)

    def keep(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        kept.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), BytesIO())

    client.meta.events.register("before-send", keep)
    try:
        client.invoke_endpoint(EndpointName=_ENDPOINT, InferenceId=f"bench-{number}", **asked)
    finally:
        client.meta.events.unregister("before-send", keep)
    [request] = kept
    lines = [f"POST /endpoints/{_ENDPOINT}/invocations HTTP/1.1", f"Host: {request.url.split('/')[2]}"]
    for name, value in request.headers.items():
        lines.append(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
    return "\r\n".join([*lines, "", ""]).encode() + asked["Body"]


def _straight(number: int) -> bytes:
    """The bytes that the cloud puts to a model for an invocation, or close."""
    body = _asked(number)["Body"]
    head = f"POST /invocations HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def _load(port: int, requests: Sequence[bytes], count: int, processes: Sequence[psutil.Process]) -> _Load:
    """Put `count` requests, always one on each of the connections."""
    before = [cpu_of(one) for one in processes]
    begun, own = time.perf_counter(), time.process_time()
    waiting = iter([requests[number % len(requests)] for number in range(count)])
    selector = selectors.DefaultSelector()
    connections = [_connected(port) for _ in range(_CONNECTIONS)]
    for connection in connections:
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(next(waiting))
    answered = 0
    while answered < count:
        for key, _ in selector.select():
            connection = cast(socket.socket, key.fileobj)
            _take_answer(connection)
            answered += 1
            if request := next(waiting, None):
                connection.sendall(request)
    for connection in connections:
        connection.close()
    seconds, generator = time.perf_counter() - begun, time.process_time() - own
    cloud, model = (cpu_of(one) - was for one, was in zip(processes, before, strict=True))
    return _Load(count, seconds, generator, cloud, model)


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _take_answer(connection: socket.socket) -> None:
    data = connection.recv(65536)
    while not (end := length(data)) or len(data) < end:
        more = connection.recv(65536)
        if not more:
            raise BenchError(f"the connection was closed within an answer: {data!r}")
        data += more
    if not data.startswith(b"HTTP/1.1 200"):
        raise BenchError(f"an invocation was not answered: {data!r}")


def _alone(
    port: int, requests: Sequence[bytes], straight: int, plain: Sequence[bytes]
) -> tuple[list[float], list[float]]:
    """Milliseconds of each request on one connection, through the cloud and straight to the model, in turns."""
    took: tuple[list[float], list[float]] = ([], [])
    with _connected(port) as through, _connected(straight) as direct:
        for _ in range(sized(_ALONE, _BLOCK) // _BLOCK):
            for each, connection, some in zip(took, (through, direct), (requests, plain), strict=True):
                for request in islice(cycle(some), _BLOCK):
                    begun = time.perf_counter()
                    connection.sendall(request)
                    _take_answer(connection)
                    each.append(1e3 * (time.perf_counter() - begun))
    return took


def _boto3_rate(client: Any) -> float:
    count = sized(_BOTO3, 5)
    begun = time.perf_counter()
    for number in range(count):
        client.invoke_endpoint(EndpointName=_ENDPOINT, **_asked(number))["Body"].read()
    return count / (time.perf_counter() - begun)
