"""The freshness gate: whether a viewer's link has room for the next frame. Runs on the hub.

Left to itself the kernel queues megabytes for a slow link, and what a viewer sees is as old as that queue is long
(over 5 Mbit/s more than a second, whichever server sends). So the sender asks first how many bytes are unsent or
unacknowledged (`SIOCOUTQ`), and gives the viewer a newer frame later instead of this one now.

Waiting until nothing is in flight would be stop-and-wait on a long path (6.7 frames/s at 100 ms round trip and
50 Mbit/s). What the path itself holds may be in flight: the delivery rate times the least round trip that the kernel
has measured, both from `TCP_INFO`. And since a viewer without room is asked again only every few milliseconds, what
is delivered in that time may still wait, or a slow link would stand idle until we ask.

That little wait is bounded, and holds for unsent bytes too: a peer that has stopped reading leaves a high rate behind
in the kernel's memory, and frames would pile up behind its closed window.
"""

from __future__ import annotations

import socket
import struct
import sys
from fcntl import ioctl
from typing import Final

POLL: Final = 0.004
"""Seconds between two looks at a viewer whose link had no room."""
_SIOCOUTQ: Final = 0x5411
"""`linux/sockios.h`: bytes written to a TCP socket that the peer has not acknowledged."""
_LOOKAHEAD: Final = 16384
"""Bytes that may wait unsent, at most: four milliseconds of 32 Mbit/s, and on faster links no frame waits long."""
_TCP_INFO_SIZE: Final = 168
_UNSENT_AND_ROUND_TRIP: Final = struct.Struct("@II")
_UNSENT_AT: Final = 144
"""Offset of `tcpi_notsent_bytes` and then `tcpi_min_rtt` (microseconds) in `struct tcp_info`, since Linux 4.9."""
_DELIVERY_RATE: Final = struct.Struct("@Q")
_DELIVERY_RATE_AT: Final = 160
"""Offset of `tcpi_delivery_rate` (bytes per second)."""

_answer: Final = bytearray(4)
_NOTHING: Final = bytes(4)


def has_room(sock: socket.socket) -> bool:
    """Whether a frame sent into `sock` now would start on its way at once, and not wait behind older ones."""
    ioctl(sock, _SIOCOUTQ, _answer)  # asked for each viewer and frame: most have nothing queued
    return _answer == _NOTHING or _path_has_room(sock, int.from_bytes(_answer, sys.byteorder))


def _path_has_room(sock: socket.socket, queued: int) -> bool:
    """Whether the `queued` bytes, unsent or unacknowledged, are on their way rather than in a queue."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    if len(info) < _TCP_INFO_SIZE:  # a kernel older than 4.9 does not tell: only an empty queue is room
        return False
    unsent, round_trip = _UNSENT_AND_ROUND_TRIP.unpack_from(info, _UNSENT_AT)
    (rate,) = _DELIVERY_RATE.unpack_from(info, _DELIVERY_RATE_AT)
    lookahead = min(rate * POLL, _LOOKAHEAD)
    return bool(unsent <= lookahead and queued <= rate * round_trip / 1e6 + lookahead)
