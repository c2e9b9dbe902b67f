"""The law of a wrong password: the server's refusal is told, the password isn't."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from sessionstore import SQLSessionStore
from sessionstore.errors import StoreUnavailable
from sessionstore.sql import attempts

from .test_errors import ESCAPED, PASSWORD
from .test_secrets import assert_untold, told_of

_ASKS_FOR_TLS = 80877103
_REFUSAL = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "u"\0\0'


def _packet(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for a password in clear text, as PostgreSQL does, and refuse it."""
    try:
        while True:
            size, code = struct.unpack("!II", await reader.readexactly(8))
            await reader.readexactly(size - 8)
            if code == _ASKS_FOR_TLS:
                writer.write(b"N")
                continue
            writer.write(_packet(b"R", struct.pack("!I", 3)))
            await reader.readexactly(1)
            (size,) = struct.unpack("!I", await reader.readexactly(4))
            assert await reader.readexactly(size - 4) == PASSWORD.encode() + b"\0"
            writer.write(_packet(b"E", _REFUSAL))
            await writer.drain()
            return
    except asyncio.IncompleteReadError:
        return
    finally:
        writer.close()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server that takes no password."""
    server = await asyncio.start_server(_refuse, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("form", ["u:{}@127.0.0.1:PORT/app?", "u@127.0.0.1:PORT/app?password={}"])
async def test_a_wrong_password(port: int, driver: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is StoreUnavailable, which says where, and holds the password in no form."""
    monkeypatch.setattr(attempts, "RETRY_SECONDS", 0.1)
    url = f"postgresql+{driver}://{form.format(ESCAPED)}".replace("PORT", str(port))
    async with SQLSessionStore.from_url(url) as store:
        for work in (lambda: store.get_session("s"), store.upgrade):
            with pytest.raises(StoreUnavailable) as raised:
                await work()
            assert f"[database 'app' on 127.0.0.1:{port}]" in str(raised.value)
            assert "password" in told_of(raised.value)
            assert_untold(told_of(raised.value))
