"""Captured data: format, layout, sampling, and what a kill leaves."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from typing import Any

import pytest

from localcloud.sagemaker.capture import Capture, Exchange

CONFIG: dict[str, Any] = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://bucket/capture",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"], "CsvContentTypes": ["text/csv"]},
}
NOON = 1_365_163_199.25  # 2013-04-05T11:59:59.250Z
JSON = "application/json"


def exchange(**changes: Any) -> Exchange:
    return Exchange(
        **{
            "endpoint": "e",
            "variant": "v",
            "time": NOON,
            "request": (JSON, b'{"a": 1}'),
            "reply": ("application/json; charset=utf-8", b'{"b": 2}'),
            **changes,
        }
    )


@pytest.fixture
def aws(inside):
    return inside.aws


@pytest.fixture
def capture(tmp_path, aws):
    (tmp_path / "capture").mkdir()
    return Capture(tmp_path / "capture", lambda: aws, 3600)


def flushed(capture: Capture, aws: Any) -> dict[str, list[Any]]:
    asyncio.run(capture.flush())
    return {key: [json.loads(line) for line in body.splitlines()] for (_, key), body in aws.objects.items()}


def test_a_record_has_sagemakers_form_and_its_key_sagemakers_layout(capture, aws):
    capture.record(CONFIG, exchange(inference_id="order-1", custom_attributes="trace=1"))
    capture.record(CONFIG, exchange(time=NOON + 0.5))
    ((key, records),) = flushed(capture, aws).items()
    assert re.fullmatch(r"capture/e/v/2013/04/05/11/59-59-250-[0-9a-f-]{36}\.jsonl", key)
    assert len(records) == 2
    event = records[0]["eventMetadata"]
    assert re.fullmatch(r"[0-9a-f-]{36}", event.pop("eventId"))
    assert records[0] == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "application/json",
                "mode": "INPUT",
                "data": '{"a": 1}',
                "encoding": "JSON",
            },
            "endpointOutput": {
                "observedContentType": "application/json; charset=utf-8",
                "mode": "OUTPUT",
                "data": '{"b": 2}',
                "encoding": "JSON",
            },
        },
        "eventMetadata": {
            "customAttributes": ["trace=1"],
            "inferenceId": "order-1",
            "inferenceTime": "2013-04-05T11:59:59Z",
        },
        "eventVersion": "0",
    }
    assert set(records[1]["eventMetadata"]) == {"eventId", "inferenceTime"}


def test_each_hour_and_each_variant_has_files_of_its_own(capture, aws):
    for moment, variant in ((NOON, "v"), (NOON + 1, "v"), (NOON + 1, "w"), (NOON + 2, "v")):
        capture.record(CONFIG, exchange(time=moment, variant=variant))
    found = {re.sub(r"/[^/]+$", "", key): len(records) for key, records in flushed(capture, aws).items()}
    assert found == {
        "capture/e/v/2013/04/05/11": 1,
        "capture/e/v/2013/04/05/12": 2,
        "capture/e/w/2013/04/05/12": 1,
    }


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (("text/csv", b"1,2"), ("CSV", "1,2")),
        (("TEXT/CSV; header=absent", b"1,2"), ("CSV", "1,2")),
        (("application/json", "{é}".encode()), ("JSON", "{é}")),
        (("application/json", b"\xff"), ("BASE64", "/w==")),
        (("image/png", b"\x89PNG"), ("BASE64", base64.b64encode(b"\x89PNG").decode())),
        (("", b""), ("BASE64", "")),
    ],
)
def test_data_is_text_only_for_the_content_types_that_were_listed(capture, aws, request_, expected):
    content_type, body = request_
    encoding, data = expected
    capture.record(CONFIG, exchange(request=(content_type, body)))
    ((_, (record,)),) = flushed(capture, aws).items()
    side = record["captureData"]["endpointInput"]
    assert (side["encoding"], side["data"], side["observedContentType"]) == (encoding, data, content_type)


@pytest.mark.parametrize(
    ("modes", "sides"),
    [
        (["Input"], {"endpointInput"}),
        (["Output"], {"endpointOutput"}),
        (["InputAndOutput"], {"endpointInput", "endpointOutput"}),
    ],
)
def test_only_the_sides_that_were_asked_for_are_captured(capture, aws, modes, sides):
    capture.record({**CONFIG, "CaptureOptions": [{"CaptureMode": mode} for mode in modes]}, exchange())
    ((_, (record,)),) = flushed(capture, aws).items()
    assert set(record["captureData"]) == sides


@pytest.mark.parametrize(
    ("changes", "least", "most"),
    [
        ({"InitialSamplingPercentage": 0}, 0, 0),
        ({"InitialSamplingPercentage": 30}, 230, 370),
        ({"EnableCapture": False}, 0, 0),
    ],
)
def test_the_sampling_percentage_is_kept(capture, aws, changes, least, most):
    for _ in range(1000):
        capture.record({**CONFIG, **changes}, exchange())
    assert least <= sum(len(records) for records in flushed(capture, aws).values()) <= most


def test_without_a_config_nothing_is_captured(capture, aws):
    capture.record(None, exchange())
    assert flushed(capture, aws) == {}


def test_what_a_killed_server_captured_is_uploaded_once_by_the_next(capture, aws, tmp_path):
    async def next_server() -> None:
        successor = Capture(tmp_path / "capture", lambda: aws, 3600)
        successor.start()
        await successor.stop()

    capture.record(CONFIG, exchange())
    ((spool,),) = [list((tmp_path / "capture").iterdir())]
    with spool.open("a") as file:
        file.write('{"captureData":{"half')
    asyncio.run(next_server())
    ((_, body),) = aws.objects.items()
    assert len(body.splitlines()) == 1
    assert list((tmp_path / "capture").iterdir()) == []
    asyncio.run(next_server())
    assert len(aws.objects) == 1


def test_files_wait_while_s3_does_not_take_them(capture, aws, tmp_path):
    aws.refused.add("PutObject")
    capture.record(CONFIG, exchange())
    assert flushed(capture, aws) == {}
    aws.refused.clear()
    assert len(flushed(capture, aws)) == 1
    assert list((tmp_path / "capture").iterdir()) == []


def test_a_file_that_is_damaged_or_was_removed_does_not_keep_the_others(capture, aws, tmp_path, caplog):
    for variant in ("removed", "damaged", "good"):
        capture.record(CONFIG, exchange(variant=variant))
        spool = max((tmp_path / "capture").iterdir(), key=lambda path: path.stat().st_ctime_ns)
        if variant == "removed":
            spool.unlink()
        elif variant == "damaged":
            spool.write_text("no JSON\nno JSON\n")
    for _ in range(2):
        assert [key.split("/")[2] for key in flushed(capture, aws)] == ["good"]
    assert caplog.text.count("captured data is lost, somebody removed") == 1
    assert caplog.text.count("S3 did not take captured data") == 2


def test_uploads_go_on_after_one_that_failed(tmp_path, aws, caplog, monkeypatch):
    troubles = [RuntimeError("can't start new thread")]
    flush = Capture.flush

    async def fail_once(self: Capture) -> None:
        if troubles:
            raise troubles.pop()
        await flush(self)

    monkeypatch.setattr(Capture, "flush", fail_once)

    async def scenario() -> None:
        capture = Capture(tmp_path / "capture", lambda: aws, 0.01)
        capture.start()
        capture.record(CONFIG, exchange())
        while not aws.objects:
            await asyncio.sleep(0.01)
        await capture.stop()

    asyncio.run(asyncio.wait_for(scenario(), 30))
    assert "an upload of captured data failed" in caplog.text


def test_a_stop_in_the_middle_of_an_upload_loses_nothing_and_uploads_nothing_twice(tmp_path, aws):
    uploading, go_on, puts = threading.Event(), threading.Event(), []

    class Slow:
        def put_object(self, **request: Any) -> None:
            puts.append(request["Key"])
            uploading.set()
            assert go_on.wait(30)

    async def scenario():
        capture = Capture(tmp_path / "capture", Slow, 0.01)
        capture.start()
        for variant in ("a", "b", "c"):
            capture.record(CONFIG, exchange(variant=variant))
        await asyncio.to_thread(uploading.wait, 30)
        stopping = asyncio.create_task(capture.stop())
        await asyncio.sleep(0.05)
        go_on.set()
        await stopping

    asyncio.run(scenario())
    assert sorted(key.split("/")[2] for key in puts) == ["a", "b", "c"]
    assert not list((tmp_path / "capture").iterdir())


def test_a_disk_that_takes_no_record_stops_no_answer(tmp_path, aws, caplog):
    Capture(tmp_path / "nowhere", lambda: aws, 3600).record(CONFIG, exchange())
    assert "was not captured" in caplog.text


@pytest.mark.e2e
def test_only_good_answers_of_an_endpoint_are_captured(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m")
            await inside.config("c", variant("v", "m"), DataCaptureConfig=CONFIG)
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            described = await inside.settled("e")
            assert described["DataCaptureConfig"]["CaptureStatus"] == "Started"
            for status in (200, 400, 500, 200):
                try:
                    await inside.invoke("e", {"status": status}, x_amzn_sagemaker_inference_id=f"id-{status}")
                except Exception as error:
                    assert error.code == "ModelError"
        records = [
            json.loads(line)
            for (bucket, _), body in inside.aws.objects.items()
            if bucket == "bucket"
            for line in body.splitlines()
        ]
        assert [record["eventMetadata"]["inferenceId"] for record in records] == ["id-200", "id-200"]

    asyncio.run(scenario())
