"""Arrow batches from a slow source, kept until all have come.

Owns the waiting room between a source and a database lock: small results stay in memory, large ones go through a
temporary file. A source's own error passes through as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from platform_assets.engine.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

IN_MEMORY_BYTES = 64 * 1024 * 1024


@contextmanager
def spooled(
    batches: Iterable[pa.RecordBatch], *, in_memory_bytes: int = IN_MEMORY_BYTES
) -> Iterator[pa.RecordBatchReader | None]:
    """Read ``batches`` to the end and offer them again; None where there are none.

    DataError where a batch has other columns than the first.
    """
    import pyarrow as pa

    with ExitStack() as stack:
        kept: list[pa.RecordBatch] = []
        writer, file, size = None, None, 0
        for batch in batches:
            if kept and batch.schema != kept[0].schema:
                raise DataError(
                    f"batches differ in their columns: {kept[0].schema.names}, then {batch.schema.names}"
                )
            kept.append(batch)
            size += batch.nbytes
            if size > in_memory_bytes and writer is None:
                file = stack.enter_context(TemporaryFile())
                writer = stack.enter_context(pa.ipc.new_stream(file, batch.schema))
            if writer is not None:
                for waiting in kept:
                    writer.write_batch(waiting)
                kept = [batch.slice(0, 0)]
        if writer is not None and file is not None:
            writer.close()
            file.seek(0)
            yield pa.ipc.open_stream(file)
        else:
            yield pa.RecordBatchReader.from_batches(kept[0].schema, kept) if kept else None
