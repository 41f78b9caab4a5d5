"""moto's server: S3, SQS, SNS and Secrets Manager on one port of the loopback interface.

Gaps that tests must know: FIFO de-duplication is forgotten once a message is deleted; credentials are not checked.
Changed by us, since moto 5.2 spends 60 ms on each message that it delivers from a queue of a thousand: how long a queue
keeps messages is looked up without counting them all dozens of times, and the clock is read without making dates. And
what changes a queue takes turns: in moto a removal during another one, or during a sending, undoes the other.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from platform_assets_tests.servers.process import running

# moto accepts any; boto3 wants some.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@contextmanager
def serving() -> Iterator[str]:
    """Yields the endpoint URL."""
    command = [sys.executable, "-m", "platform_assets_tests.servers.moto", "-H", "127.0.0.1", "-p", "0"]
    with running(command, r"Running on (http://127\.0\.0\.1:\d+)", CREDENTIALS) as url:
        yield url


def _still_kept(backend: Any, queue_name: str, message: Any) -> bool:
    sent_seconds: float = message.sent_timestamp / 1000
    return sent_seconds + backend.get_queue(queue_name).message_retention_period > time.time()


def _in_turn(operation: Callable[..., Any], turn: threading.RLock) -> Callable[..., Any]:
    @wraps(operation)
    def alone(*args: Any, **kwargs: Any) -> Any:
        with turn:
            return operation(*args, **kwargs)

    return alone


def _in_turn_unless_it_waits(receive: Callable[..., Any], turn: threading.RLock) -> Callable[..., Any]:
    alone = _in_turn(receive, turn)

    @wraps(receive)
    def received(backend: Any, name: str, count: int, wait_seconds: int, *args: Any, **kwargs: Any) -> Any:
        return (receive if wait_seconds else alone)(backend, name, count, wait_seconds, *args, **kwargs)

    return received


def main() -> None:
    from moto.server import main as serve
    from moto.sqs import models

    models.unix_time = time.time
    models.unix_time_millis = lambda: time.time() * 1000
    turn = threading.RLock()
    models.Queue.add_message = _in_turn(models.Queue.add_message, turn)
    models.Queue.delete_message = _in_turn(models.Queue.delete_message, turn)
    models.SQSBackend.receive_message = _in_turn_unless_it_waits(models.SQSBackend.receive_message, turn)
    models.SQSBackend.is_message_valid_based_on_retention_period = _still_kept
    serve(sys.argv[1:])


if __name__ == "__main__":
    main()
