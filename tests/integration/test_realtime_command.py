import asyncio
import json
import os
import signal
import sys

import aiohttp

DEADLINE_S = 20


async def test_the_command_prints_its_addresses_and_ends_cleanly() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lab.realtime", "--latency", "none"),
        *("--port", "0", "--control-port", "0"),
        env={**os.environ, "LAB_API_KEYS": "sk-other,sk-mine"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S), aiohttp.ClientSession() as http:
            told = json.loads(await process.stdout.readline())
            async with http.ws_connect(
                f"{told['url']}?model=gpt-realtime-2.1",
                headers={"Authorization": "Bearer sk-mine"},
            ) as socket:
                assert (await socket.receive_json())["type"] == "session.created"
                async with http.get(f"{told['control_url']}/lab/sessions") as answer:
                    assert (await answer.json())["open"] == 1
                process.send_signal(signal.SIGTERM)
                assert (await socket.receive()).data == 1001
            rest, errors = await process.communicate()
        assert (process.returncode, rest, errors) == (0, b"", b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
