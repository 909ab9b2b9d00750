"""WebSocket frames in bulk: server frames are unmasked, so many can be written as one buffer."""

import struct
from collections.abc import Iterable

_TEXT = 0x81  # final fragment, text [RFC 6455 §5.2]
_SHORT = [bytes((_TEXT, n)) for n in range(126)]


def pack(texts: Iterable[str]) -> bytes:
    """Return one text frame per text, joined."""
    parts = []
    for text in texts:
        data = text.encode()
        size = len(data)
        if size < 126:
            parts.append(_SHORT[size])
        elif size < 65_536:
            parts.append(b"\x81\x7e" + size.to_bytes(2, "big"))
        else:
            parts.append(b"\x81\x7f" + struct.pack("!Q", size))
        parts.append(data)
    return b"".join(parts)


def wrap(stream: str, payloads: Iterable[str]) -> list[str]:
    """Return the payloads as a combined connection sees them."""
    head = f'{{"stream":"{stream}","data":'
    return [f"{head}{payload}}}" for payload in payloads]
