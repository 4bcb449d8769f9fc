"""``warmline`` as somebody meets it who has just cloned the project."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import tomli_w

from backhaul.clock import unix_s
from backhaul.pki import Role, TlsFiles, certificate_problems, create_authority, issue
from lab.drills.catalogue import DRILLS
from lab.realtime import RealtimeLatency, RealtimeServer, RealtimeServerSettings
from tests.integration.edge_double import EdgeDouble

DEADLINE_S = 50
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "warmline.toml"
COMMANDS = (
    "drill",
    *("up", "demo", "call", "links", "edge", "agent", "pki", "doctor"),
    "twilio",
)
NOT_OURS = ("EDGE_", "REGION_AGENT_", "TWILIO_", "OPENAI_", "REDIS_")
KEYS = {"TWILIO_AUTH_TOKEN": "secret-of-twilio", "OPENAI_API_KEY": "sk-secret"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment without keys, proxies or a fabric that is running."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(NOT_OURS) and not name.lower().endswith("_proxy")
    } | {"TMPDIR": str(tmp_path), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}


async def warmline(
    environ: Mapping[str, str], *arguments: str
) -> tuple[int | None, str, str]:
    """Run one command; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lab.cli", *arguments),
        env=environ,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


async def test_help_lists_every_command(environ: dict[str, str]) -> None:
    code, out, err = await warmline(environ, "--help")
    assert (code, err) == (0, "")
    words = out.split()
    assert all(command in words for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_explains_itself(
    environ: dict[str, str], command: str
) -> None:
    code, out, err = await warmline(environ, command, "--help")
    assert (code, err) == (0, "")
    assert "Usage" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("up", "--regions", "0"), "--regions: must be between"),
        (("up", "--agents", "99"), "--agents: must be between"),
        (("demo", "--edges", "99"), "--edges: must be between"),
        (("demo", "--calls-per-s", "-1"), "--calls-per-s: must not be negative"),
        (("demo", "--calls", "0"), "--calls: must be between"),
    ],
)
async def test_impossible_numbers_start_nothing(
    environ: dict[str, str], arguments: tuple[str, ...], problem: str
) -> None:
    code, out, err = await warmline(environ, *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(problem)


# Drills


async def test_drills_are_listed(environ: dict[str, str]) -> None:
    code, out, err = await warmline(environ, "drill")
    assert (code, err) == (0, "")
    names = [line.split()[0] for line in out.splitlines()]
    assert names == list(DRILLS)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("no-such",), "no-such: no such drill"),
        (("flap", "--calls", "-1"), "--calls: must be"),
        (("flap", "--lenient", "0.5"), "--lenient: must be"),
    ],
)
async def test_impossible_drills_are_not_held(
    environ: dict[str, str], arguments: tuple[str, ...], problem: str
) -> None:
    code, out, err = await warmline(environ, "drill", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(problem)


# Calls


async def test_a_call_without_a_token_is_not_placed(environ: dict[str, str]) -> None:
    code, out, err = await warmline(environ, "call", "--edge", "http://127.0.0.1:1")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "TWILIO_AUTH_TOKEN" in line


async def test_a_call_to_nobody_is_not_answered(environ: dict[str, str]) -> None:
    code, _, err = await warmline(
        environ | KEYS, "call", "--edge", "http://127.0.0.1:1"
    )
    assert code == 1
    assert "Traceback" not in err


async def test_a_recording_that_is_missing_is_one_line(
    environ: dict[str, str], tmp_path: Path
) -> None:
    code, out, err = await warmline(
        environ | KEYS,
        *("call", "--edge", "http://127.0.0.1:1"),
        *("--audio", str(tmp_path / "nothing.wav")),
    )
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "nothing.wav" in line


async def test_a_script_that_cannot_be_read_places_no_call(
    environ: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "talk.toml"
    script.write_text("[[caller]]\nsing = true\n")
    code, out, err = await warmline(
        environ | KEYS,
        *("call", "--edge", "http://127.0.0.1:1", "--script", str(script)),
    )
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("caller step 1: ")


@pytest.mark.parametrize(("ended_by", "code"), [("twiml", 0), ("caller", 1)])
async def test_a_script_tells_what_came_of_every_step(
    environ: dict[str, str],
    tmp_path: Path,
    edge: EdgeDouble,
    ended_by: str,
    code: int,
) -> None:
    edge.twiml["/twilio/voice"] = ["<Say>Hello</Say><Hangup/>"] * 2
    edge.twiml["/twilio/status"] = ["", ""]
    script = tmp_path / "talk.toml"
    script.write_text(
        f'[[caller]]\nexpect_end = "{ended_by}"\n'
        '[[caller]]\nexpect_verb = "Say Hello"\n'
    )
    command = ("call", "--edge", edge.base, "--script", str(script))
    got, out, err = await warmline(environ | KEYS, *command)
    assert (got, err) == (code, "")
    marks = [line.split()[0] for line in out.splitlines()]
    assert marks == (["ok"] * 3 if code == 0 else ["FAIL", "FAIL", "ok"]) + ["heard:"]
    got, out, err = await warmline(environ | KEYS, *command, "--json")
    assert (got, err) == (code, "")
    told = json.loads(out)
    assert told["ok"] is (code == 0)
    assert [step["ok"] for step in told["steps"]] == [m == "ok" for m in marks[:-1]]
    assert told["call"]["verbs"] == ["Say Hello", "Hangup"]


# Certificates


async def test_pki_issues_what_the_example_needs(
    environ: dict[str, str], tmp_path: Path
) -> None:
    directory = tmp_path / "made"
    command = ("pki", "--config", str(EXAMPLE), "--out", str(directory))
    code, out, err = await warmline(environ, *command)
    assert (code, err) == (0, "")
    wanted = [
        TlsFiles.of(directory, Role.EDGE, "edge-1"),
        TlsFiles.of(directory, Role.REGION_AGENT, "us-east"),
    ]
    assert out.splitlines() == [str(files.certificate) for files in wanted]
    for files in wanted:
        assert certificate_problems(files, now_unix_s=unix_s()) == ()
    made = contents(directory)
    assert (await warmline(environ, *command))[0] == 0
    assert contents(directory) == made


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("command", ["pki", "doctor", "edge", "agent", "up"])
async def test_a_missing_file_is_one_line(
    environ: dict[str, str], tmp_path: Path, command: str
) -> None:
    path = tmp_path / "nowhere.toml"
    code, out, err = await warmline(environ, command, "--config", str(path))
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "nowhere.toml" in line


# Doctor


def deployment(
    directory: Path,
    *,
    agent: str,
    realtime_url: str,
    public_url: str = "https://voice.example.net",
) -> Path:
    path = directory / "warmline.toml"
    tables = {
        "regions": {"home": {"agents": [agent]}},
        "profiles": {"desk": {"instructions": "Be kind."}},
        "numbers": {"*": "desk"},
        "edges": {"edge-1": {"public_url": public_url}},
        "region_agent": {"region": "home", "realtime_url": realtime_url},
    }
    path.write_text(tomli_w.dumps(tables))
    return path


def certify(directory: Path) -> None:
    create_authority(directory / "pki")
    issue(directory / "pki", Role.EDGE, "edge-1")
    issue(directory / "pki", Role.REGION_AGENT, "home")


@contextlib.asynccontextmanager
async def listening(answer: bytes = b"") -> AsyncIterator[str]:
    """Accept connections, say *answer* to whatever comes, and hang up."""

    async def accept(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if answer:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
            else:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def model() -> AsyncIterator[str]:
    settings = RealtimeServerSettings(latency=RealtimeLatency.none())
    async with RealtimeServer(settings) as server:
        yield server.url


async def doctor(
    environ: Mapping[str, str], config: Path, *options: str
) -> tuple[int | None, list[str], list[str]]:
    """Return the exit code, what is good, and what is wrong."""
    code, out, err = await warmline(
        environ, "doctor", "--config", str(config), *options
    )
    assert err == ""
    lines = out.splitlines()
    assert all(line.startswith(("ok    ", "FAIL  ")) for line in lines)
    assert not any(key in out for key in KEYS.values())
    return (
        code,
        [line[6:] for line in lines if line.startswith("ok")],
        [line[6:] for line in lines if line.startswith("FAIL")],
    )


async def test_doctor_is_content_when_all_is_well(
    environ: dict[str, str], tmp_path: Path
) -> None:
    certify(tmp_path)
    async with listening() as agent, model() as url:
        config = deployment(tmp_path, agent=agent, realtime_url=url)
        code, good, wrong = await doctor(environ | KEYS, config, "--running")
    assert wrong == []
    assert code == 0
    for wanted in (
        "edge edge-1",
        "region-agent home",
        f"agent {agent} of home accepts connections",
        "model endpoint",
        "clock",
    ):
        assert any(wanted in line for line in good), wanted


async def test_doctor_does_not_miss_agents_before_they_should_run(
    environ: dict[str, str], tmp_path: Path
) -> None:
    certify(tmp_path)
    async with listening() as gone:
        pass
    async with model() as url:
        config = deployment(tmp_path, agent=gone, realtime_url=url)
        code, _, wrong = await doctor(environ | KEYS, config)
    assert (code, wrong) == (0, [])


@pytest.mark.parametrize("key", sorted(KEYS))
async def test_doctor_misses_a_key(
    environ: dict[str, str], tmp_path: Path, key: str
) -> None:
    certify(tmp_path)
    given = {name: value for name, value in KEYS.items() if name != key}
    async with listening() as agent, model() as url:
        config = deployment(tmp_path, agent=agent, realtime_url=url)
        code, _, wrong = await doctor(environ | given, config, "--running")
    assert code == 1
    (problem,) = wrong
    assert key in problem


async def test_doctor_misses_certificates(
    environ: dict[str, str], tmp_path: Path
) -> None:
    async with model() as url:
        config = deployment(tmp_path, agent="127.0.0.1:1", realtime_url=url)
        code, _, wrong = await doctor(environ | KEYS, config)
    assert code == 1
    assert len(wrong) == 2
    assert all(line.startswith("certificate of ") for line in wrong)


async def test_doctor_knows_the_url_of_the_example(
    environ: dict[str, str], tmp_path: Path
) -> None:
    certify(tmp_path)
    async with model() as url:
        config = deployment(
            tmp_path,
            agent="127.0.0.1:1",
            realtime_url=url,
            public_url="https://voice.example.com",
        )
        code, _, wrong = await doctor(environ | KEYS, config)
    assert code == 1
    (problem,) = wrong
    assert "public_url" in problem


async def test_doctor_finds_an_agent_that_does_not_listen(
    environ: dict[str, str], tmp_path: Path
) -> None:
    certify(tmp_path)
    async with listening() as gone:
        pass
    async with model() as url:
        config = deployment(tmp_path, agent=gone, realtime_url=url)
        code, _, wrong = await doctor(environ | KEYS, config, "--running")
    assert code == 1
    (problem,) = wrong
    assert problem.startswith(f"agent {gone} of home: ")


async def test_doctor_finds_an_endpoint_that_does_not_answer(
    environ: dict[str, str], tmp_path: Path
) -> None:
    certify(tmp_path)
    async with listening() as gone:
        pass
    url = f"ws://{gone}/v1/realtime"
    config = deployment(tmp_path, agent="127.0.0.1:1", realtime_url=url)
    code, _, wrong = await doctor(environ | KEYS, config)
    assert code == 1
    (problem,) = wrong
    assert problem.startswith(f"model endpoint {gone}: ")


async def test_doctor_finds_a_clock_that_is_off(
    environ: dict[str, str], tmp_path: Path
) -> None:
    certify(tmp_path)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    date = format_datetime(an_hour_ago, usegmt=True)
    answer = f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n"
    async with listening(answer.encode()) as endpoint:
        url = f"ws://{endpoint}/v1/realtime"
        config = deployment(tmp_path, agent="127.0.0.1:1", realtime_url=url)
        code, _, wrong = await doctor(environ | KEYS, config)
    assert code == 1
    (problem,) = wrong
    assert problem.startswith("clock is +3")


async def test_doctor_names_everything_that_is_wrong_at_once(
    environ: dict[str, str], tmp_path: Path
) -> None:
    async with listening() as gone:
        pass
    url = f"ws://{gone}/v1/realtime"
    config = deployment(tmp_path, agent=gone, realtime_url=url)
    given = environ | {"OPENAI_API_KEY": KEYS["OPENAI_API_KEY"]}
    code, good, wrong = await doctor(given, config, "--running")
    assert code == 1
    for wanted in ("TWILIO_AUTH_TOKEN", "certificate of ", f"agent {gone}", "endpoint"):
        assert any(wanted in line for line in wrong), wanted
    assert not any("answers" in line or "accepts" in line for line in good)
