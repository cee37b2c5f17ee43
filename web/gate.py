"""The freshness gate: whether a viewer's link has room for the next frame. Runs on the hub.

Left to itself the kernel queues megabytes for a slow link, and what a viewer sees is as old as that queue is long
(over 5 Mbit/s more than a second, whichever server sends). So the sender asks first how many bytes are unsent or
unacknowledged (`SIOCOUTQ`), and gives the viewer a newer frame later instead of this one now.

Waiting until nothing is in flight would be stop-and-wait on a long path (6.7 frames/s at 100 ms round trip and
50 Mbit/s). What the path holds anyway may be in flight: the delivery rate times the least round trip the kernel has
measured, both from `TCP_INFO`, plus what is delivered until the next time we ask.
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
_TCP_INFO_SIZE: Final = 168
_MIN_RTT: Final = struct.Struct("@I")
_DELIVERY_RATE: Final = struct.Struct("@Q")
_MIN_RTT_AT: Final = 148
"""Offset of `tcpi_min_rtt` (microseconds) in `struct tcp_info`, Linux 4.9 and later."""
_DELIVERY_RATE_AT: Final = 160
"""Offset of `tcpi_delivery_rate` (bytes per second)."""

_answer: Final = bytearray(4)
_NOTHING: Final = bytes(4)


def has_room(sock: socket.socket) -> bool:
    """Whether a frame sent into `sock` now would start on its way at once, and not wait behind older ones."""
    ioctl(sock, _SIOCOUTQ, _answer)  # asked for each viewer and frame: most have nothing queued
    return _answer == _NOTHING or int.from_bytes(_answer, sys.byteorder) <= in_flight_allowance(sock)


def in_flight_allowance(sock: socket.socket) -> float:
    """Bytes that may be unacknowledged on the path of `sock` without a queue: delivery rate x least round trip."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    if len(info) < _TCP_INFO_SIZE:
        return 0.0
    (round_trip,) = _MIN_RTT.unpack_from(info, _MIN_RTT_AT)
    (rate,) = _DELIVERY_RATE.unpack_from(info, _DELIVERY_RATE_AT)
    return int(rate) * (int(round_trip) / 1e6 + POLL)
