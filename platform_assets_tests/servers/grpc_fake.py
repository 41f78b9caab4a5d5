"""A gRPC service that answers as a test tells it to: for refusals that no emulator gives.

Ours, so tests that rest on it say ``fake`` in their names.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


@dataclass
class Refusal:
    """An error as the service sends it; ``failures`` become the metadata of its ErrorInfo."""

    code: int
    message: str = "as the test wants it"
    failures: Mapping[str, str] = field(default_factory=dict)

    def abort(self, context: grpc.ServicerContext) -> None:
        status = status_pb2.Status(code=self.code, message=self.message)
        if self.failures:
            info = error_details_pb2.ErrorInfo(reason="ACK", domain="googleapis.com", metadata=self.failures)
            detail = any_pb2.Any()
            detail.Pack(info)
            status.details.append(detail)
        context.abort_with_status(rpc_status.to_status(status))


@dataclass
class FakeService:
    """Answers each call with the next of ``script``: a Refusal, or a response; afterwards all is well."""

    address: str = ""
    script: list[Any] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)

    def answer(self, request: Any, context: grpc.ServicerContext, response: Any) -> Any:
        self.requests.append(request)
        step = self.script.pop(0) if self.script else response
        if isinstance(step, Refusal):
            step.abort(context)
        return step(request) if callable(step) else step


@contextmanager
def serving(service: str, methods: Mapping[str, tuple[Any, Any]]) -> Iterator[FakeService]:
    """``methods``: name → (request type, what it answers, or a function of the request)."""
    fake = FakeService()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    handlers = {name: _method(fake, *types) for name, types in methods.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()


def _method(fake: FakeService, request: Any, response: Any) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        lambda message, context: fake.answer(message, context, response),
        request_deserializer=request.pb(request()).FromString,
        response_serializer=lambda message: type(message).serialize(message),
    )


@contextmanager
def silent_port() -> Iterator[str]:
    """``host:port`` where connections are taken and never answered."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
