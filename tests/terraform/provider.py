"""Stands in for Terraform's AWS provider: the real schema, and no cloud behind it.

Terraform dials a provider that runs already when TF_REATTACH_PROVIDERS names it. The
protocol is Terraform's plugin protocol 6, over gRPC on loopback.
"""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

# gRPC would run handlers of its own in every child this process forks, for as long as
# it lives, and they break children: it reads this when it is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

import grpc
import msgpack
from tf.gen import grpc_controller_pb2 as controller
from tf.gen import grpc_controller_pb2_grpc as controller_rpc
from tf.gen import grpc_stdio_pb2_grpc as stdio_rpc
from tf.gen import tfplugin_pb2 as wire
from tf.gen import tfplugin_pb2_grpc as wire_rpc

from tests.terraform.rules import problems
from tests.terraform.schema import SCHEMA
from tests.terraform.values import answer, computed

__all__ = ["serving"]

_UNKNOWN = msgpack.ExtType(0, b"\0")
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_NESTING = {
    "single": wire.Schema.NestedBlock.SINGLE,
    "list": wire.Schema.NestedBlock.LIST,
    "set": wire.Schema.NestedBlock.SET,
    "map": wire.Schema.NestedBlock.MAP,
}

_Json = dict[str, Any]


@contextmanager
def serving() -> Iterator[str]:
    """Serve the provider; yield the value of TF_REATTACH_PROVIDERS."""
    limits = [
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ]
    server = grpc.server(ThreadPoolExecutor(16), options=limits)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    wire_rpc.add_ProviderServicer_to_server(_Provider(schema), server)
    controller_rpc.add_GRPCControllerServicer_to_server(_Controller(), server)
    stdio_rpc.add_GRPCStdioServicer_to_server(_Stdio(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
    provider = {
        "Protocol": "grpc",
        "ProtocolVersion": 6,
        "Pid": os.getpid(),
        "Test": True,
        "Addr": address,
    }
    try:
        yield json.dumps({"registry.terraform.io/hashicorp/aws": provider})
    finally:
        server.stop(None).wait()


class _Controller(controller_rpc.GRPCControllerServicer):  # type: ignore[misc]
    def Shutdown(self, request: Any, context: Any) -> Any:
        return controller.Empty()


class _Stdio(stdio_rpc.GRPCStdioServicer):  # type: ignore[misc]
    def StreamStdio(self, request: Any, context: Any) -> Any:
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait()
        return iter(())


class _Provider(wire_rpc.ProviderServicer):  # type: ignore[misc]
    """Answers Terraform; one configuration at a time."""

    def __init__(self, schema: _Json) -> None:
        self._schema = schema
        self._region = "us-east-1"
        self._tags: dict[str, str] = {}

    def GetMetadata(self, request: Any, context: Any) -> Any:
        return wire.GetMetadata.Response()

    def GetProviderSchema(self, request: Any, context: Any) -> Any:
        return wire.GetProviderSchema.Response(
            provider=_schema(self._schema["provider"]),
            resource_schemas={
                kind: _schema(block)
                for kind, block in self._schema["resources"].items()
            },
            data_source_schemas={
                kind: _schema(block) for kind, block in self._schema["data"].items()
            },
        )

    def ValidateProviderConfig(self, request: Any, context: Any) -> Any:
        return wire.ValidateProviderConfig.Response()

    def ConfigureProvider(self, request: Any, context: Any) -> Any:
        given = _unpack(request.config) or {}
        if isinstance(given.get("region"), str):
            self._region = given["region"]
        self._tags = {
            key: value
            for block in given.get("default_tags") or ()
            for key, value in (block.get("tags") or {}).items()
        }
        return wire.ConfigureProvider.Response()

    def ValidateResourceConfig(self, request: Any, context: Any) -> Any:
        return wire.ValidateResourceConfig.Response(
            diagnostics=_diagnostics(request.type_name, _unpack(request.config))
        )

    def ValidateDataResourceConfig(self, request: Any, context: Any) -> Any:
        return wire.ValidateDataResourceConfig.Response()

    def UpgradeResourceState(self, request: Any, context: Any) -> Any:
        state = _pack(json.loads(request.raw_state.json))
        return wire.UpgradeResourceState.Response(upgraded_state=state)

    def ReadResource(self, request: Any, context: Any) -> Any:
        return wire.ReadResource.Response(
            new_state=request.current_state, private=request.private
        )

    def PlanResourceChange(self, request: Any, context: Any) -> Any:
        proposed = _unpack(request.proposed_new_state)
        if proposed is None:
            return wire.PlanResourceChange.Response(
                planned_state=request.proposed_new_state
            )
        kind, prior = request.type_name, _unpack(request.prior_state)
        block = self._schema["resources"][kind]
        if prior is None:
            if "region" in block["attributes"] and proposed.get("region") is None:
                proposed["region"] = self._region
            proposed = _with_unknowns(block, proposed)
        if "tags_all" in block["attributes"]:
            proposed["tags_all"] = {**self._tags, **(proposed.get("tags") or {})}
        return wire.PlanResourceChange.Response(
            planned_state=_pack(proposed), diagnostics=_diagnostics(kind, proposed)
        )

    def ApplyResourceChange(self, request: Any, context: Any) -> Any:
        planned, kind = _unpack(request.planned_state), request.type_name
        # What leans on the values of others, as containers on their secrets, is known
        # only now.
        refused = _diagnostics(kind, planned)
        if refused:
            return wire.ApplyResourceChange.Response(
                new_state=request.prior_state, diagnostics=refused
            )
        if planned is not None:
            block = self._schema["resources"][kind]
            planned = _resolved(kind, block, planned, planned)
        return wire.ApplyResourceChange.Response(new_state=_pack(planned))

    def ReadDataSource(self, request: Any, context: Any) -> Any:
        kind, given = request.type_name, _unpack(request.config)
        region = given.get("region") or self._region
        block = self._schema["data"][kind]
        try:
            said = {**given, **answer(kind, given, region=region)}
        except ValueError as exc:
            return wire.ReadDataSource.Response(diagnostics=[_error(str(exc))])
        for name, attribute in block["attributes"].items():
            if "c" in attribute["flags"] and said.get(name) is None:
                said[name] = computed(
                    kind, name, attribute["type"], {**said, "region": region}
                )
        return wire.ReadDataSource.Response(state=_pack(said))

    def GetFunctions(self, request: Any, context: Any) -> Any:
        return wire.GetFunctions.Response()

    def StopProvider(self, request: Any, context: Any) -> Any:
        return wire.StopProvider.Response()


def _schemas(blocks: _Json) -> _Json:
    return {kind: _schema(block) for kind, block in blocks.items()}


def _schema(block: _Json) -> Any:
    return wire.Schema(version=0, block=_block(block))


def _block(block: _Json) -> Any:
    return wire.Schema.Block(
        attributes=[
            wire.Schema.Attribute(
                name=name,
                type=json.dumps(one["type"]).encode(),
                required="r" in one["flags"],
                optional="o" in one["flags"],
                computed="c" in one["flags"],
            )
            for name, one in block["attributes"].items()
        ],
        block_types=[
            wire.Schema.NestedBlock(
                type_name=name,
                block=_block(one["block"]),
                nesting=_NESTING[one["nesting"]],
                min_items=one["min"],
                max_items=one["max"],
            )
            for name, one in block["blocks"].items()
        ],
    )


def _unpack(value: Any) -> Any:
    if value.msgpack:
        return msgpack.unpackb(
            value.msgpack, strict_map_key=False, ext_hook=lambda *_: _UNKNOWN
        )
    return json.loads(value.json) if value.json else None


def _pack(value: object) -> Any:
    return wire.DynamicValue(msgpack=msgpack.packb(value))


def _error(text: str) -> Any:
    return wire.Diagnostic(severity=wire.Diagnostic.ERROR, summary=text)


def _diagnostics(kind: str, values: Mapping[str, Any] | None) -> list[Any]:
    if values is None:
        return []  # it is being destroyed
    return [_error(f"{kind}: {line}") for line in problems(kind, values)]


def _with_unknowns(block: _Json, values: _Json) -> _Json:
    """Return a new resource's *values* with what only AWS can say marked so."""
    made = dict(values)
    for name, one in block["attributes"].items():
        if "c" in one["flags"] and made.get(name) is None:
            made[name] = _UNKNOWN
    for name, one in block["blocks"].items():
        if isinstance(made.get(name), list):
            made[name] = [_with_unknowns(one["block"], each) for each in made[name]]
    return made


def _resolved(kind: str, block: _Json, values: _Json, known: _Json) -> _Json:
    """Return *values* with everything unknown filled in."""
    made = dict(values)
    for name, one in block["attributes"].items():
        if isinstance(made.get(name), msgpack.ExtType):
            made[name] = computed(kind, name, one["type"], known)
    for name, one in block["blocks"].items():
        if isinstance(made.get(name), list):
            made[name] = [
                _resolved(kind, one["block"], each, known) for each in made[name]
            ]
    return made
