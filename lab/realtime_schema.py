"""What a Realtime client may send: the GA events, typed and strict.

Source: the client event types of OpenAI's Realtime API, GA form. Left out on purpose,
hence refused: stored prompts and MCP tools.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "AppendAudio",
    "CancelResponse",
    "ClearAudio",
    "ClearOutputAudio",
    "ClientEvent",
    "CommitAudio",
    "CreateItem",
    "CreateResponse",
    "DeleteItem",
    "FunctionCall",
    "FunctionCallOutput",
    "Item",
    "ItemReference",
    "Message",
    "ResponseParams",
    "RetrieveItem",
    "SessionUpdate",
    "TruncateItem",
    "UpdateSession",
]

ItemId = Annotated[str, Meta(min_length=1, max_length=32)]
ToolName = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+\Z")
]
VoiceName = Literal[
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
]


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are errors, as they are in the real API."""


class _Tagged(_Strict, frozen=True, kw_only=True, tag_field="type"):
    """Told from its siblings by ``type``."""


class _PcmFormat(_Tagged, frozen=True, kw_only=True, tag="audio/pcm"):
    rate: Literal[24000] = 24000


class _PcmuFormat(_Tagged, frozen=True, kw_only=True, tag="audio/pcmu"):
    pass


class _PcmaFormat(_Tagged, frozen=True, kw_only=True, tag="audio/pcma"):
    pass


_Format = _PcmFormat | _PcmuFormat | _PcmaFormat


class _ServerVad(_Tagged, frozen=True, kw_only=True, tag="server_vad"):
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Meta(ge=0)] = 300
    silence_duration_ms: Annotated[int, Meta(ge=0)] = 500
    idle_timeout_ms: Annotated[int, Meta(ge=5000, le=30000)] | None = None
    create_response: bool = True
    interrupt_response: bool = True


class _SemanticVad(_Tagged, frozen=True, kw_only=True, tag="semantic_vad"):
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


class _Transcription(_Strict, frozen=True, kw_only=True):
    model: str
    language: str | UnsetType = UNSET
    languages: list[str] | UnsetType = UNSET
    prompt: str | UnsetType = UNSET
    keywords: list[str] | UnsetType = UNSET
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | UnsetType = UNSET


class _NoiseReduction(_Strict, frozen=True, kw_only=True):
    type: Literal["near_field", "far_field"]
    strength: float | UnsetType = UNSET


class _AudioInput(_Strict, frozen=True, kw_only=True):
    format: _Format | UnsetType = UNSET
    noise_reduction: _NoiseReduction | UnsetType | None = UNSET
    transcription: _Transcription | UnsetType | None = UNSET
    turn_detection: _ServerVad | _SemanticVad | UnsetType | None = UNSET


class _VoiceId(_Strict, frozen=True, kw_only=True):
    id: str


class _ResponseAudioOutput(_Strict, frozen=True, kw_only=True):
    format: _Format | UnsetType = UNSET
    voice: VoiceName | _VoiceId | UnsetType = UNSET


class _AudioOutput(_ResponseAudioOutput, frozen=True, kw_only=True):
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] | UnsetType = UNSET


class _Audio(_Strict, frozen=True, kw_only=True):
    input: _AudioInput | UnsetType = UNSET
    output: _AudioOutput | UnsetType = UNSET


class _ResponseAudio(_Strict, frozen=True, kw_only=True):
    output: _ResponseAudioOutput | UnsetType = UNSET


class _Function(_Strict, frozen=True, kw_only=True):
    type: Literal["function"]
    name: ToolName
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class _ToolChoiceFunction(_Strict, frozen=True, kw_only=True):
    type: Literal["function"]
    name: ToolName


class _TokenLimits(_Strict, frozen=True, kw_only=True):
    post_instructions: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class _RetentionRatio(_Strict, frozen=True, kw_only=True):
    type: Literal["retention_ratio"]
    retention_ratio: Annotated[float, Meta(ge=0, le=1)]
    token_limits: _TokenLimits | UnsetType = UNSET


class _Tracing(_Strict, frozen=True, kw_only=True):
    group_id: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    workflow_name: str | UnsetType = UNSET


class _Reasoning(_Strict, frozen=True, kw_only=True):
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | UnsetType = UNSET


Modalities = Annotated[list[Literal["audio", "text"]], Meta(min_length=1, max_length=1)]
MaxTokens = Annotated[int, Meta(ge=1, le=4096)] | Literal["inf"]
ToolChoice = Literal["auto", "none", "required"] | _ToolChoiceFunction


class SessionUpdate(_Strict, frozen=True, kw_only=True):
    """The ``session`` of a ``session.update``; what is not set stays as it is."""

    type: Literal["realtime"]
    model: str | UnsetType = UNSET
    output_modalities: Modalities | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    audio: _Audio | UnsetType = UNSET
    tools: list[_Function] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    max_output_tokens: MaxTokens | UnsetType = UNSET
    truncation: Literal["auto", "disabled"] | _RetentionRatio | UnsetType = UNSET
    tracing: Literal["auto"] | _Tracing | UnsetType | None = UNSET
    include: (
        list[Literal["item.input_audio_transcription.logprobs"]] | UnsetType | None
    ) = UNSET
    reasoning: _Reasoning | UnsetType = UNSET


class _Content(_Strict, frozen=True, kw_only=True):
    type: Literal[
        "input_text", "input_audio", "input_image", "output_text", "output_audio"
    ]
    text: str | UnsetType = UNSET
    audio: str | UnsetType = UNSET
    transcript: str | UnsetType | None = UNSET
    image_url: str | UnsetType = UNSET
    detail: Literal["auto", "low", "high"] | UnsetType = UNSET


class _ItemBase(_Tagged, frozen=True, kw_only=True):
    id: ItemId | UnsetType = UNSET
    object: Literal["realtime.item"] | UnsetType = UNSET
    status: Literal["completed", "incomplete", "in_progress"] | UnsetType = UNSET


class Message(_ItemBase, frozen=True, kw_only=True, tag="message"):
    """Something said or written by one of the parties."""

    role: Literal["system", "user", "assistant"]
    content: list[_Content]


class FunctionCall(_ItemBase, frozen=True, kw_only=True, tag="function_call"):
    """A call the model made to a function of the client."""

    name: str
    arguments: str
    call_id: str | UnsetType = UNSET


class FunctionCallOutput(
    _ItemBase, frozen=True, kw_only=True, tag="function_call_output"
):
    """What a function of the client answered."""

    call_id: str
    output: str


class ItemReference(_Tagged, frozen=True, kw_only=True, tag="item_reference"):
    """An item of the conversation, by its id."""

    id: str


Item = Message | FunctionCall | FunctionCallOutput


class ResponseParams(_Strict, frozen=True, kw_only=True):
    """The ``response`` of a ``response.create``."""

    conversation: Literal["auto", "none"] = "auto"
    input: list[Item | ItemReference] | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    output_modalities: Modalities | UnsetType = UNSET
    audio: _ResponseAudio | UnsetType = UNSET
    max_output_tokens: MaxTokens | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET
    tools: list[_Function] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: _Reasoning | UnsetType = UNSET


class _Event(_Tagged, frozen=True, kw_only=True):
    event_id: Annotated[str, Meta(max_length=512)] | UnsetType = UNSET


class UpdateSession(_Event, frozen=True, kw_only=True, tag="session.update"):
    """Change the session."""

    session: SessionUpdate


class AppendAudio(_Event, frozen=True, kw_only=True, tag="input_audio_buffer.append"):
    """Hear this; *audio* is base64."""

    audio: str


class CommitAudio(_Event, frozen=True, kw_only=True, tag="input_audio_buffer.commit"):
    """Make an item of what was heard."""


class ClearAudio(_Event, frozen=True, kw_only=True, tag="input_audio_buffer.clear"):
    """Forget what was heard."""


class ClearOutputAudio(
    _Event, frozen=True, kw_only=True, tag="output_audio_buffer.clear"
):
    """Not for WebSocket clients."""


class CreateItem(_Event, frozen=True, kw_only=True, tag="conversation.item.create"):
    """Put an item into the conversation."""

    item: Item
    previous_item_id: str | UnsetType | None = UNSET


class TruncateItem(_Event, frozen=True, kw_only=True, tag="conversation.item.truncate"):
    """Forget what the caller did not hear of an item."""

    item_id: str
    content_index: int
    audio_end_ms: int


class DeleteItem(_Event, frozen=True, kw_only=True, tag="conversation.item.delete"):
    """Take an item out of the conversation."""

    item_id: str


class RetrieveItem(_Event, frozen=True, kw_only=True, tag="conversation.item.retrieve"):
    """Show an item as the server has it."""

    item_id: str


class CreateResponse(_Event, frozen=True, kw_only=True, tag="response.create"):
    """Say something."""

    response: ResponseParams | UnsetType = UNSET


class CancelResponse(_Event, frozen=True, kw_only=True, tag="response.cancel"):
    """Stop saying it."""

    response_id: str | UnsetType = UNSET


ClientEvent = (
    UpdateSession
    | AppendAudio
    | CommitAudio
    | ClearAudio
    | ClearOutputAudio
    | CreateItem
    | TruncateItem
    | DeleteItem
    | RetrieveItem
    | CreateResponse
    | CancelResponse
)
