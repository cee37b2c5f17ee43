"""`Credentials`: the user and password of an address, and how a server wants to be told them. Capture thread.

Basic is RFC 7617, Digest RFC 7616 with MD5 or SHA-256 and `qop=auth` or none, as cameras speak it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import urllib.request
from dataclasses import dataclass, field


@dataclass(slots=True)
class Credentials:
    """A user and a password, with what the server has asked for so far; goes on over connections."""

    user: str
    password: str = field(repr=False)
    _basic: bool = False
    _digest: dict[str, str] | None = None
    _count: int = 0

    def learn(self, challenges: list[str]) -> bool:
        """Take the WWW-Authenticate headers of a 401, the stronger first; says whether one can be answered."""
        self._basic, self._digest = False, None
        for challenge in challenges:
            scheme, _, rest = challenge.strip().partition(" ")
            if scheme.lower() == "digest" and self._digest is None:
                values = _values(rest)
                if _algorithm(values) is not None and _quality(values) is not None and "nonce" in values:
                    self._digest, self._count = values, 0
            elif scheme.lower() == "basic":
                self._basic = True
        return self._basic or self._digest is not None

    @property
    def stale(self) -> bool:
        """Whether the last answer was refused only because its nonce had grown old."""
        return self._digest is not None and self._digest.get("stale", "").lower() == "true"

    def header(self, method: str, target: str) -> str | None:
        """The value of the Authorization header for a request; None before a server has asked."""
        if self._digest is not None:
            return self._digest_header(self._digest, method, target)
        if self._basic:
            pair = f"{self.user}:{self.password}".encode()
            return "Basic " + base64.b64encode(pair).decode("ascii")
        return None

    def _digest_header(self, asked: dict[str, str], method: str, target: str) -> str:
        name = _algorithm(asked) or "MD5"
        realm, nonce = asked.get("realm", ""), asked["nonce"]
        cnonce = os.urandom(8).hex()

        def hashed(text: str) -> str:
            digest = hashlib.sha256 if name.startswith("SHA-256") else hashlib.md5
            return digest(text.encode(), usedforsecurity=False).hexdigest()

        secret = hashed(f"{self.user}:{realm}:{self.password}")
        if name.endswith("-sess"):
            secret = hashed(f"{secret}:{nonce}:{cnonce}")
        request = hashed(f"{method}:{target}")
        fields = {"username": self.user, "realm": realm, "nonce": nonce, "uri": target}
        bare = {}
        if _quality(asked):
            self._count += 1
            count = f"{self._count:08x}"
            fields["response"] = hashed(f"{secret}:{nonce}:{count}:{cnonce}:auth:{request}")
            bare = {"qop": "auth", "nc": count}
        else:
            fields["response"] = hashed(f"{secret}:{nonce}:{request}")
        if bare or name.endswith("-sess"):
            fields["cnonce"] = cnonce
        if "opaque" in asked:
            fields["opaque"] = asked["opaque"]
        if "algorithm" in asked:
            bare["algorithm"] = asked["algorithm"]
        quoted = [f'{key}="{_escaped(value)}"' for key, value in fields.items()]
        return "Digest " + ", ".join(quoted + [f"{key}={value}" for key, value in bare.items()])


def _values(text: str) -> dict[str, str]:
    pairs = [item for item in urllib.request.parse_http_list(text) if "=" in item]
    return {key.strip().lower(): value for key, value in urllib.request.parse_keqv_list(pairs).items()}


def _algorithm(values: dict[str, str]) -> str | None:
    name = values.get("algorithm", "MD5").upper().replace("-SESS", "-sess")
    return name if name in ("MD5", "MD5-sess", "SHA-256", "SHA-256-sess") else None


def _quality(values: dict[str, str]) -> str | None:
    """`auth` or nothing, as the server wants it; None when it wants what we do not have."""
    if "qop" not in values:
        return ""
    return "auth" if "auth" in [word.strip().lower() for word in values["qop"].split(",")] else None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
