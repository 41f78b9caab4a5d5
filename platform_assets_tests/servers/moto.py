"""moto's server: S3, SQS, SNS and Secrets Manager on one port of the loopback interface.

Gaps that tests must know: FIFO de-duplication is forgotten once a message is deleted; credentials are not checked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from platform_assets_tests.servers.process import running

# moto accepts any; boto3 wants some.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@contextmanager
def serving() -> Iterator[str]:
    """Yields the endpoint URL."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with running(command, r"Running on (http://127\.0\.0\.1:\d+)", CREDENTIALS) as url:
        yield url
