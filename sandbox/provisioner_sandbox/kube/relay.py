"""Bytes from one connection to another."""

from __future__ import annotations

import asyncio

CHUNK = 1 << 16


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the first ends, or the second takes no more."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
