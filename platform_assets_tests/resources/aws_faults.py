"""Errors of AWS's two protocols as they come over the wire."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

CREDENTIAL_CODES = ["ExpiredToken", "InvalidClientTokenId", "AccessDenied", "SignatureDoesNotMatch"]


def xml_error(code: str, text: str = "as the test wants it") -> bytes:
    return (
        f"<ErrorResponse><Error><Code>{code}</Code><Message>{text}</Message></Error></ErrorResponse>".encode()
    )


def json_error(code: str, text: str = "as the test wants it") -> dict[str, str]:
    return {"__type": f"com.amazonaws.sqs#{code}", "message": text}


@contextmanager
def closed_port() -> Iterator[str]:
    """A URL at which nobody listens, and nobody will while the block lasts."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}"
