"""Who may ask: host names, origins and the API key.

Pages of other sites reach a service on this machine through the browser: under their own host name, which they let
resolve to it (DNS rebinding), or as requests and WebSockets from another origin. Neither gets an answer.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from shortvox.errors import ConfigError
from shortvox.service.limits import Refused
from shortvox.textfiles import shown

VARIABLE = "SHORTVOX_API_KEY"
SHORTEST_KEY = 16  # characters
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PROTOCOL = "shortvox"  # of WebSockets; browsers cannot send them a key in any other way than as one more protocol
_KEY_PROTOCOL = "key."


@dataclass(frozen=True, slots=True)
class Access:
    """`key`: what requests must bring, None for none. `hosts`: names that the service answers to, None for any."""

    key: str | None
    hosts: frozenset[str] | None

    @classmethod
    def to(cls, host: str, key: str | None, names: tuple[str, ...] = ()) -> Access:
        """For a service that listens at `host`. Raises ConfigError where others could reach it without a key."""
        local = is_loopback(host)
        if not local and key is None:
            raise ConfigError(
                f"--host {host}: others can reach it, so an API key is needed; give --api-key-file FILE or {VARIABLE}, "
                "or listen on 127.0.0.1"
            )
        known = frozenset(name.lower() for name in names)
        return cls(key, known | LOOPBACK | {host.lower()} if local or known else None)

    def check_source(self, headers: Headers) -> None:
        """Raises Refused for a request under another host name or from another site."""
        host = headers.get("host", "").lower()
        if self.hosts is not None and _name(host) not in self.hosts:
            raise Refused(403, f"this service does not answer to the host name '{host[:100]}'")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin.lower()).netloc != host:
            raise Refused(403, "requests from pages of other sites are not answered")

    def check_key(self, headers: Headers) -> None:
        """Raises Refused for a request without the key."""
        if self.key is not None and not any(_same(given, self.key) for given in _given(headers)):
            line = "an API key is needed: Authorization: Bearer KEY"
            raise Refused(401, line, headers={"WWW-Authenticate": "Bearer"})


def read_key(path: Path | None) -> str | None:
    """The key in a file, or of the environment; None without either. Raises ConfigError for one that is no key."""
    if path is None:
        source, content = VARIABLE, os.environ.get(VARIABLE)
        if content is None:
            return None
    else:
        source = shown(path)
        try:
            content = path.read_text(encoding="ascii")
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not plain text"
            raise ConfigError(f"{source}: cannot be read ({reason}); write one key into it") from None
    key = content.strip()
    if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{source}: expected one key of at least {SHORTEST_KEY} plain characters without spaces")
    return key


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """A host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _given(headers: Headers) -> list[str]:
    found = [headers.get("x-api-key", "")]
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found.append(token.strip())
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        protocol = protocol.strip()
        if protocol.startswith(_KEY_PROTOCOL):
            coded = protocol.removeprefix(_KEY_PROTOCOL)
            try:
                found.append(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode("ascii"))
            except (binascii.Error, UnicodeError, ValueError):
                continue
    return found


def _same(given: str, key: str) -> bool:
    """In a time that does not depend on where they differ, or on the key's length."""
    digests = (hashlib.sha256(each.encode("utf-8", "surrogateescape")).digest() for each in (given, key))
    return hmac.compare_digest(*digests)
