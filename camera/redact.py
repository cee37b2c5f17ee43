"""`redact()`: take passwords out of what people will read. Any thread.

The address of a network camera often carries its password. It is used as it is, and shown only like this: in
error messages, in the log, in `/state` and by `vedette config`.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

_URL = re.compile(r"([a-z][a-z0-9+.-]*://)([^\s'\"<>]+)", re.IGNORECASE)
_AUTHORITY = re.compile(r"[^/?#]*")
_SECRET = re.compile(
    r"([?&;][^=&;#]*(?:pas|pwd|token|key|secret|auth|sig|usr|user|login)[^=&;#]*=)[^&;#]*", re.IGNORECASE
)


def redact(text: str) -> str:
    """`text` with the credentials in all its addresses replaced by `***`: before an `@` and in the query.

    The user's name goes as well, since a token is often written in its place.
    """
    return _URL.sub(lambda match: match[1] + _without_credentials(match[2]), text)


def _without_credentials(rest: str) -> str:
    """`rest` of an address, from behind its `//`, without user, password and secret parameters."""
    end = _end_of_userinfo(rest)
    if end >= 0:
        rest = f"{MASK}{rest[end:]}"
    return _SECRET.sub(lambda match: match[1] + MASK, rest)


def _end_of_userinfo(rest: str) -> int:
    """Where the `@` behind the password is, or -1.

    A password with a `/` that was not written as `%2F` makes the address wrong; it must not be shown for that.
    """
    authority = _AUTHORITY.match(rest)
    whole = authority[0] if authority else ""
    if "@" in whole:
        return whole.rindex("@")
    port = whole.rpartition(":")[2] if ":" in whole and not whole.endswith("]") else ""
    if port and not port.isdecimal():
        return rest.rfind("@")
    return -1
