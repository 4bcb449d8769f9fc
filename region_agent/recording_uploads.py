"""Brings finished recordings from the spool directory to an S3-compatible store."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

from backhaul.core.backoff import Backoff
from backhaul.tasks import TaskOwner
from region_agent.recording_files import claim

if TYPE_CHECKING:
    from obstore.store import S3Config  # exists for type checkers only

__all__ = ["RecordingUploads", "UploadCounters", "open_bucket"]

_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Without credentials among them, those of the instance are used."""

_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
_REQUEST_TIMEOUT = "120s"
_RETRIES = 2
_UPLOAD_TIMEOUT_S = 1800.0
_LAST_UPLOADS_S = 20.0
"""For what is still here when the agent stops; the rest waits for the next start."""

_log = structlog.get_logger()


@dataclass(slots=True)
class UploadCounters:
    """What became of finished recordings that go to a store."""

    uploaded: int = 0
    failures: int = 0
    """Attempts that failed; each is repeated."""


def open_bucket(url: str, environ: Mapping[str, str]) -> S3Store:
    """Return the store behind ``s3://BUCKET/PREFIX``; nothing is sent yet.

    Args:
        url: Where recordings go.
        environ: Holds the usual ``AWS_*`` variables.

    Raises:
        ValueError: If the URL or a variable cannot be used.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not bucket:
        raise ValueError("no bucket")
    config = {name.lower(): environ[name] for name in _VARIABLES if environ.get(name)}
    endpoint = config.get("aws_endpoint_url_s3", config.get("aws_endpoint_url", ""))
    try:
        return S3Store(
            bucket,
            prefix=prefix.strip("/") or None,
            config=cast("S3Config", config),
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "timeout": _REQUEST_TIMEOUT,
            },
            retry_config={"max_retries": _RETRIES},
        )
    except BaseError as exc:
        raise ValueError(type(exc).__name__) from None


class RecordingUploads:
    """Uploads every ``*.wav`` of some directories, then deletes it.

    The directories are the queue: whoever finds a file there later, after a crash or
    a day without the store, goes on with it.

    Args:
        stores: Where the files of each directory go.
        rng: Spreads the retries.
    """

    def __init__(self, stores: Mapping[Path, S3Store], *, rng: random.Random) -> None:
        self.counters = UploadCounters()
        self._stores = stores
        self._rng = rng
        self._backoff = Backoff(first_s=1.0, max_s=300.0)
        self._tasks = TaskOwner()
        self._awake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._done = asyncio.Event()

    def start(self) -> None:
        """Begin with what is there."""
        self._tasks.spawn(self._upload_forever(), name="recording-uploads")

    def wake(self) -> None:
        """Look again: a recording is finished."""
        self._awake.set()

    async def aclose(self) -> None:
        """Try once more for what is left, within limits, and stop."""
        self._stopping.set()
        self._awake.set()
        if len(self._tasks):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_UPLOADS_S):
                    await self._done.wait()
        await self._tasks.aclose()

    async def _upload_forever(self) -> None:
        failures = 0
        while True:
            is_last = self._stopping.is_set()
            self._awake.clear()
            failed = not await self._upload_all()
            if is_last:
                break
            if not failed:
                failures = 0
                await self._awake.wait()
                continue
            failures += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(
                    self._backoff.wait_s(failures, rng=self._rng)
                ):
                    await self._stopping.wait()
        self._done.set()

    async def _upload_all(self) -> bool:
        """Upload what there is; give a store up at its first failure."""
        succeeded = True
        for directory, store in self._stores.items():
            for path in await asyncio.to_thread(_finished, directory):
                if not await self._upload(path, store):
                    succeeded = False
                    break
        return succeeded

    async def _upload(self, path: Path, store: S3Store) -> bool:
        try:
            await _move(path, store)
        except (BaseError, OSError, TimeoutError) as exc:
            self.counters.failures += 1
            _log.warning("recording.upload_failed", error_type=type(exc).__name__)
            return False
        self.counters.uploaded += 1
        return True


def _finished(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.wav"))


async def _move(path: Path, store: S3Store) -> None:
    """Upload one file and delete it, unless another process is at it."""
    claimed = await asyncio.to_thread(claim, path)
    if claimed is None:
        return
    with claimed:
        async with asyncio.timeout(_UPLOAD_TIMEOUT_S):
            await obstore.put_async(
                store,
                path.name,
                path,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        await asyncio.to_thread(path.unlink)
