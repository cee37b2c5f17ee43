"""Take passwords out of what people will read: `redact()` for a source, `redact_sentence()` for text. Any thread.

The address of a network camera often carries its password. It is used as it is, and shown only like this: in
error messages, in the log, in `/state` and by `vedette config`. People write passwords unescaped, which makes an
address ambiguous: `admin:1234/a@cam` may be a password with a slash or a path with an `@`. When in doubt it is masked.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

_ADDRESS: Final = re.compile(r"(\s*[a-z][a-z0-9+.-]*:/{2,})(.*)", re.IGNORECASE | re.DOTALL)
_NO_SCHEME: Final = re.compile(
    r"[^/]*:.*@|(?:[^/]*@)?(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?:[/?]|$)|[^/:]+:\d+(?:[/?]|$)", re.DOTALL
)
_CERTAIN_HOST: Final = re.compile(
    r"(?:\[[0-9a-f:.%]+\]|(?:\d{1,3}\.){3}\d{1,3})(?::\d{1,5})?(?=[/?#]|$)", re.IGNORECASE
)
"""What nobody is called: behind it an `@` belongs to the path."""
_IN_PARAMETER: Final = re.compile(r"[/?&;#][^/?&;#=]*=[^&;]*$")
_HARMLESS: Final = (
    "action|bitrate|camera|cam|ch|channel|codec|compression|fps|framerate|format|h|height|latency|mode|ms|pkt_size|"
    "profile|quality|rate|res|resolution|rotation|size|stream|streamtype|subtype|timeout|transport|type|unicast|"
    "videocodec|w|width"
)
_PARAMETER: Final = re.compile(
    rf"(?P<shown>[/?&;#](?:{_HARMLESS})=[\w.,:+-]{{0,32}}(?=[/?&;#]|$))"
    r"|(?P<key>[/?&;#][^/?&;#=]*=)[^&;]*"
    r"|(?P<mark>[?&;])[^=&;]+(?=[&;]|$)",
    re.IGNORECASE,
)
"""A parameter of the query or, as some recorders have it (`/user=a&password=b`), of the path. A value may hold any
character but those that begin the next one."""
_IN_SENTENCE: Final = re.compile(
    r"(?P<scheme>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*:/{2,})(?P<rest>"
    # A user, a colon, and something that is no port: the password may hold spaces.
    r"[^\s/?#@\[]+:(?!\d+(?:[/?#\s'\",:;]|$))[^\s@]*\s(?:(?![a-z][a-z0-9+.-]*://).)*@\S*|\S+)"
    r"|(?<![^\s'\"=(])[^\s'\"/:=(]+:\S*@(?=\S)",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(r"((?:pass|pwd|token|secret)[a-z_]*=)[^\s&;'\"]+", re.IGNORECASE)
_PUNCTUATION: Final = re.compile(r"['\":;,]*$")


def redact(source: str) -> str:
    """`source`, as a user writes it into the settings, with everything replaced by `***` that may be a credential.

    That is what stands between `://` and the last `@`, and the value of every parameter not known to be harmless.
    The user's name goes as well, since a token is often written in its place.
    """
    # No host, hence no user either.
    if source.lower().startswith("file:///"):
        return source
    address = _ADDRESS.fullmatch(source)
    if address:
        return address[1] + _without_credentials(address[2])
    if lacks_scheme(source):
        return _without_credentials(source)
    return redact_sentence(source)


def redact_sentence(text: str) -> str:
    """`text` with the credentials in the addresses that can be made out in it replaced by `***`.

    A second net: where such an address ends can only be guessed. Whoever knows the address uses `redact()` on it.
    """
    return _NAMED.sub(lambda match: match[1] + MASK, _IN_SENTENCE.sub(_redact_match, text))


def lacks_scheme(source: str) -> bool:
    """Whether `source` reads like an address whose `rtsp://` or `http://` was forgotten: `user:password@host/path`."""
    return _NO_SCHEME.match(source) is not None


def _redact_match(match: re.Match[str]) -> str:
    if match["scheme"] is None:
        return f"{MASK}@"
    end = _PUNCTUATION.search(match["rest"])
    cut = end.start() if end else len(match["rest"])
    return match["scheme"] + _without_credentials(match["rest"][:cut]) + match["rest"][cut:]


def _without_credentials(rest: str) -> str:
    """`rest` of an address, from behind its `//`, without user, password and parameters."""
    host = _CERTAIN_HOST.match(rest)
    if host:
        return host[0] + _without_parameters(re.sub(r"[^/?#:]*:.*@", f"{MASK}@", rest[host.end() :], flags=re.DOTALL))
    before, at, behind = rest.rpartition("@")
    if not at:
        return _without_parameters(rest)
    # The @ of `?password=p@ss` has half a password behind it as well.
    return MASK if _IN_PARAMETER.search(before) else f"{MASK}@{_without_parameters(behind)}"


def _without_parameters(rest: str) -> str:
    return _PARAMETER.sub(lambda match: match["shown"] or f"{match['key'] or match['mark']}{MASK}", rest)
