"""The webhooks over a real socket: who is let in, and what they are told."""

import asyncio
import re
import ssl
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from backhaul.core.messages import CloseReason
from backhaul.pki import Role, TlsFiles

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
OLD_TOKEN = "fedcba9876543210fedcba9876543210"


def verbs(text: str) -> list[str]:
    return [element.tag for element in ET.fromstring(text)]  # noqa: S314 - our own


async def test_a_call_is_answered_with_a_stream_and_a_way_back(bench: "Bench") -> None:
    status, text = await bench.post()
    assert status == 200
    connect = ET.fromstring(text)[0]  # noqa: S314 - our own
    assert connect.tag == "Connect"
    assert connect.get("action") == "https://voice.example.com/twilio/resume/1"
    stream = connect[0]
    assert re.fullmatch(
        r"wss://voice\.example\.com/twilio/media/[\w-]{32,}", stream.get("url", "")
    )
    assert [request.profile for request in bench.agent.requests] == ["greeted"]


@pytest.mark.parametrize("key", [AUTH_TOKEN, OLD_TOKEN])
async def test_each_configured_key_signs(bench: "Bench", key: str) -> None:
    assert (await bench.post(key=key))[0] == 200


async def test_twilio_may_sign_with_the_default_port(bench: "Bench") -> None:
    url = "https://voice.example.com:443/twilio/voice"
    assert (await bench.post(signed_url=url))[0] == 200


async def test_what_is_not_signed_is_refused_before_anything_is_leased(
    bench: "Bench",
) -> None:
    form = bench.sids()
    good = RequestValidator(AUTH_TOKEN).compute_signature(
        "https://voice.example.com/twilio/voice", form
    )
    refused = [
        await bench.post(signature="missing"),
        await bench.post(signature=""),
        await bench.post(signature="é"),
        await bench.post(signature=good.swapcase()),
        await bench.post(form=form | {"To": "+14155550101"}, signature=good),
        await bench.post(key="another key"),
        await bench.post(signed_url="https://voice.example.com/twilio/status"),
        await bench.post(
            signed_url="https://evil.example.com/twilio/voice",
            headers={
                "X-Forwarded-Host": "evil.example.com",
                "X-Forwarded-Proto": "https",
                "Host": "evil.example.com",
            },
        ),
        await bench.post(headers={"Host": "voice.example.com:99999"}, signature=""),
        await bench.post(headers={"Content-Type": "application/json"}),
    ]
    assert [status for status, _ in refused] == [403] * len(refused)
    assert bench.agent.requests == []
    assert bench.metric(
        "edge_webhook_requests_total", endpoint="voice", outcome="signature_invalid"
    ) == len(refused)
    # Nobody else is affected.
    assert (await bench.post())[0] == 200


async def test_unknown_paths_do_not_exist(bench: "Bench") -> None:
    assert (await bench.post("/twilio/other"))[0] == 404
    assert (await bench.post("/twilio/resume/x"))[0] == 404
    assert (await bench.post("/"))[0] == 404


@pytest.mark.parametrize(
    "change",
    [
        {"CallSid": ""},
        {"CallSid": "CA123"},
        {"CallSid": "CA" + "g" * 32},
        {"AccountSid": "x"},
        {"CallSid": "CA" + "٣" * 32},
    ],
)
async def test_parameters_that_cannot_be_are_a_bad_request(
    bench: "Bench", change: dict[str, str]
) -> None:
    assert (await bench.post(form=bench.sids() | change))[0] == 400
    assert bench.agent.requests == []


async def test_a_body_beyond_the_limit_is_refused(bench: "Bench") -> None:
    status, _ = await bench.post(form=bench.sids() | {"x": "y" * 70_000})
    assert status == 413


async def test_too_many_parameters_are_refused(bench: "Bench") -> None:
    many = {f"p{n}": "" for n in range(300)}
    assert (await bench.post(form=bench.sids() | many))[0] == 403


async def test_another_account_is_refused(make_bench: "MakeBench") -> None:
    bench = await make_bench(account_sid="AC" + "1" * 32)
    assert (await bench.post())[0] == 403
    assert bench.agent.requests == []


async def test_the_same_call_gets_the_same_answer_and_one_lease(bench: "Bench") -> None:
    answers = await asyncio.gather(*(bench.post() for _ in range(5)))
    answers.append(await bench.post())
    assert len(set(answers)) == 1
    assert len(bench.agent.requests) == 1


async def test_an_ended_call_cannot_be_replayed(bench: "Bench") -> None:
    await bench.post()
    done = bench.sids() | {"CallStatus": "completed"}
    assert (await bench.post("/twilio/status", done))[0] == 204
    assert verbs((await bench.post())[1]) == ["Hangup"]
    assert len(bench.agent.requests) == 1
    assert bench.agent.released == [bench.agent.requests[0].lease_id]


async def test_a_number_of_nobody_is_rejected(bench: "Bench") -> None:
    form = bench.sids() | {"To": "+19995550000"}
    assert verbs((await bench.post(form=form))[1]) == ["Reject"]


async def test_a_refusal_leads_to_the_next_region(make_bench: "MakeBench") -> None:
    bench = await make_bench(("home", "away"))
    bench.agents["home"].refuse_with = CloseReason.NO_STOCK
    assert verbs((await bench.post())[1]) == ["Connect"]
    assert len(bench.agents["home"].requests) == 1
    assert len(bench.agents["away"].requests) == 1
    assert (
        bench.metric("edge_leases_total", region="home", outcome="no_stock")
        == bench.metric("edge_leases_total", region="away", outcome="warm")
        == 1
    )


async def test_an_agent_that_does_not_answer_is_passed_over(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(("home", "away"), lease_timeout_s=1.0)
    bench.agents["home"].silent = True
    assert verbs((await bench.post())[1]) == ["Connect"]
    assert len(bench.agents["away"].requests) == 1


async def test_silent_agents_do_not_cost_the_caller_more_than_the_budget(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(
        ("home", "away"), lease_timeout_s=30.0, webhook_budget_s=0.2
    )
    for agent in bench.agents.values():
        agent.silent = True
    assert verbs((await bench.post())[1]) == ["Connect"]  # and the search goes on
    asked = [agent for agent in bench.agents.values() if agent.requests]
    async with asyncio.timeout(20):
        while not asked[0].released:
            await asyncio.sleep(0.01)
    assert asked[0].released[0] == asked[0].requests[0].lease_id


async def test_what_reaches_no_endpoint_is_counted(bench: "Bench") -> None:
    await bench.post("/nowhere")
    await bench.post(form=bench.sids() | {"x": "y" * 70_000})
    for outcome in ("http_404", "http_413"):
        name = "edge_webhook_requests_total"
        assert bench.metric(name, endpoint="other", outcome=outcome) == 1


async def test_slow_clients_are_cut_off_and_nobody_waits_for_them(
    make_bench: "MakeBench",
) -> None:
    bench = await make_bench(request_timeout_s=1.0)
    port = bench.edge.http_port
    head, head_writer = await asyncio.open_connection("127.0.0.1", port)
    head_writer.write(b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nX-Never: ")
    body, body_writer = await asyncio.open_connection("127.0.0.1", port)
    body_writer.write(
        b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nCall"
    )
    assert (await bench.post())[0] == 200
    async with asyncio.timeout(20):
        assert b" 408 " in await body.readline()
        assert await head.read() == b""
    head_writer.close()
    body_writer.close()


async def test_the_form_of_request_that_proxies_get_is_refused(
    bench: "Bench",
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.edge.http_port)
    writer.write(
        b"POST http://x:1/twilio/voice HTTP/1.1\r\nHost: x\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(20):
        assert b" 403 " in await reader.readline()
    writer.close()


async def test_when_nobody_can_answer_the_caller_is_told(bench: "Bench") -> None:
    bench.agent.max_calls = 0
    bench.agent.push_stock()
    home = next(iter(bench.edge.links.agents.values()))
    async with asyncio.timeout(20):
        while home.stock.max_calls:
            await asyncio.sleep(0.005)
    assert verbs((await bench.post())[1]) == ["Say", "Hangup"]


async def test_an_edge_can_end_tls_itself(
    make_bench: "MakeBench", tmp_path: Path
) -> None:
    files = TlsFiles.of(tmp_path, Role.EDGE, "edge-1")
    bench = await make_bench(
        tls_certificate=files.certificate,
        tls_key=files.key,
        public_url="https://edge-1",
        media_url="wss://edge-1:8081",
    )
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    url = f"https://127.0.0.1:{bench.edge.http_port}/twilio/voice"
    form = bench.sids()
    signature = RequestValidator(AUTH_TOKEN).compute_signature(
        "https://edge-1/twilio/voice", form
    )
    async with bench.http.post(
        url,
        data=form,
        headers={"X-Twilio-Signature": signature},
        ssl=context,
        server_hostname="edge-1",
    ) as response:
        assert response.status == 200
        stream_url = ET.fromstring(await response.text())[0][0].get("url", "")  # noqa: S314
    signature = RequestValidator(AUTH_TOKEN).compute_signature(stream_url, {})
    async with connect(
        stream_url,
        host="127.0.0.1",
        port=bench.edge.media_port,
        ssl=context,
        additional_headers={"X-Twilio-Signature": signature},
    ) as socket:
        assert socket.response is not None
        assert socket.response.status_code == 101
