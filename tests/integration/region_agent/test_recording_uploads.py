"""Recordings on their way to an S3-compatible store of somebody else's."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # its types are a package of their own
import pytest
from blockbuster import blockbuster_ctx
from moto.server import ThreadedMotoServer

from backhaul.errors import SettingsError
from lab.free_port import free_port
from tests.integration.region_agent.bench import eventually
from tests.integration.region_agent.recording_bench import (
    facts,
    files,
    killed,
    make,
    running,
    speak,
)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail on a call that would stop the event loop from within the product."""
    with blockbuster_ctx(["region_agent.recordings", "region_agent.recording_uploads"]):
        yield


class Store:
    """An S3 server of somebody else's, with one bucket."""

    def __init__(self, port: int) -> None:
        # All its servers in one process have the same buckets.
        self.bucket = f"calls-{secrets.token_hex(4)}"
        self.environ = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-central-1",
        }
        self._server = ThreadedMotoServer("127.0.0.1", port, verbose=False)

    def start(self) -> None:
        self._server.start()
        self._client = boto3.client(
            "s3",
            endpoint_url=self.environ["AWS_ENDPOINT_URL"],
            region_name="eu-central-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        place = {"LocationConstraint": "eu-central-1"}
        self._client.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=place)

    def keys(self) -> list[str]:
        found = self._client.list_objects_v2(Bucket=self.bucket)
        return [entry["Key"] for entry in found.get("Contents", ())]

    def content(self, key: str) -> bytes:
        body: bytes = self._client.get_object(Bucket=self.bucket, Key=key)[
            "Body"
        ].read()
        return body

    def parts(self, key: str) -> int:
        """Return in how many parts an object was uploaded; 1 if it was in one."""
        tag: str = self._client.head_object(Bucket=self.bucket, Key=key)["ETag"]
        return int(tag.strip('"').partition("-")[2] or 1)

    def stop(self) -> None:
        self._client.close()
        self._server.stop()


@pytest.fixture
def cold_store() -> Iterator[Store]:
    """A store that the test starts."""
    store = Store(free_port())
    yield store
    store.stop()


@pytest.fixture
def store(cold_store: Store) -> Store:
    cold_store.start()
    return cold_store


async def test_a_finished_recording_moves_to_the_store(
    tmp_path: Path, store: Store
) -> None:
    to = f"s3://{store.bucket}/desk/2026/"
    async with running(tmp_path, to, **store.environ) as recordings:
        recorder = recordings.begin("desk", "CA1")
        speak(recorder)
        assert recorder is not None
        recorder.close()
        await eventually(lambda: recordings.uploads.counters.uploaded == 1)
        speak(recordings.begin("desk", "CA2"))  # ends with the agent
    assert files(tmp_path) == []
    first, second = store.keys()
    for key, call in ((first, "CA1"), (second, "CA2")):
        assert key.startswith("desk/2026/20")
        assert key.endswith(f"Z-{call}.wav")
        (tmp_path / "copy.wav").write_bytes(store.content(key))
        assert (await facts(tmp_path / "copy.wav"))[:2] == ("2.000000", "2")


async def test_what_a_killed_agent_left_moves_to_the_store(
    tmp_path: Path, store: Store
) -> None:
    to = f"s3://{store.bucket}"
    await killed(tmp_path, to, "mulaw", 32_058)
    (part,) = files(tmp_path, "*.part")
    large = part.with_name("large.wav")
    large.write_bytes(bytes(20_000_000))
    async with running(tmp_path, to, "mulaw", **store.environ) as recordings:
        await eventually(lambda: recordings.uploads.counters.uploaded == 2)
        assert recordings.counters.repaired == 1
    recorded, other = store.keys()
    assert recorded.endswith("Z-CA1.wav")
    (tmp_path / "copy.wav").write_bytes(store.content(recorded))
    assert (await facts(tmp_path / "copy.wav"))[:2] == ("2.000000", "2")
    assert store.content(other) == bytes(20_000_000)
    assert store.parts(other) > 1
    assert files(part.parent) == []


async def test_a_recording_waits_for_a_store_that_is_down(
    tmp_path: Path, cold_store: Store
) -> None:
    to = f"s3://{cold_store.bucket}"
    async with running(tmp_path, to, **cold_store.environ) as recordings:
        recorder = recordings.begin("desk", "CA1")
        speak(recorder)
        assert recorder is not None
        recorder.close()
        await eventually(lambda: recordings.uploads.counters.failures > 0)
        assert len(files(tmp_path, "*.wav")) == 1
        cold_store.start()
        await eventually(lambda: recordings.uploads.counters.uploaded == 1)
    assert len(cold_store.keys()) == 1
    assert files(tmp_path, "*.wav") == []


async def test_a_recording_that_the_store_refuses_is_kept(
    tmp_path: Path, store: Store
) -> None:
    async with running(tmp_path, "s3://nobodys", **store.environ) as recordings:
        speak(recordings.begin("desk", "CA1"))
    assert recordings.uploads.counters.failures > 0
    assert len(files(tmp_path, "*.wav")) == 1


async def test_a_store_that_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        make(tmp_path, "s3:///calls")
    assert refused.value.problems == ("profiles.desk.recording.to: no bucket",)
    with pytest.raises(SettingsError) as refused:
        make(tmp_path, "s3://calls", AWS_VIRTUAL_HOSTED_STYLE_REQUEST="perhaps")
    (problem,) = refused.value.problems
    assert problem.startswith("profiles.desk.recording.to: ")
