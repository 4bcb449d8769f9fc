"""Pipecat: its FastAPI transport, Twilio serializer and OpenAI realtime service.

The shortest pipeline that its documentation shows for a realtime model on a telephone:
8 kHz towards the carrier, no voice detection of its own, the model's server does that.
"""

import argparse
import json
import sys

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
)
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.workers.runner import WorkerRunner

INSTRUCTIONS = "You answer the telephone of a small hotel. Be warm and brief."


def bridge(realtime_url: str) -> FastAPI:
    """Return the application."""
    app = FastAPI()

    @app.websocket("/media-stream")
    async def media_stream(caller: WebSocket) -> None:
        await caller.accept()
        await caller.receive_text()
        start = json.loads(await caller.receive_text())["start"]
        await talk(caller, start["streamSid"], start["callSid"], realtime_url)

    return app


async def talk(
    caller: WebSocket, stream_sid: str, call_sid: str, realtime_url: str
) -> None:
    """Run one call."""
    serializer = TwilioFrameSerializer(
        stream_sid=stream_sid,
        call_sid=call_sid,
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    transport = FastAPIWebsocketTransport(
        websocket=caller,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=False,
            serializer=serializer,
        ),
    )
    settings = OpenAIRealtimeLLMService.Settings(system_instruction=INSTRUCTIONS)
    model = OpenAIRealtimeLLMService(
        api_key="sk-lab", base_url=realtime_url, settings=settings
    )
    context = LLMContext([{"role": "user", "content": "Greet the caller."}])
    aggregators = LLMContextAggregatorPair(context)
    pipeline = Pipeline(
        [
            transport.input(),
            aggregators.user(),
            model,
            transport.output(),
            aggregators.assistant(),
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
    )

    @transport.event_handler("on_client_connected")
    async def on_connected(_transport: object, _client: object) -> None:
        await worker.queue_frames([LLMRunFrame()])

    @transport.event_handler("on_client_disconnected")
    async def on_disconnected(_transport: object, _client: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--realtime-url", required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    chosen = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    uvicorn.run(
        bridge(chosen.realtime_url),
        host="127.0.0.1",
        port=chosen.port,
        log_level="warning",
        ssl_certfile=chosen.certificate,
        ssl_keyfile=chosen.key,
    )


if __name__ == "__main__":
    main()
