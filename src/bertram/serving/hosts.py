"""Names under which a server answers, so that a web page elsewhere cannot reach it by a name of its own.

A browser lets a page read what its own name answers. If that name is made to point to this machine (DNS rebinding), the
page could read the server's answers; the request's Host header gives it away.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

ANY = "*"


@dataclass(frozen=True)
class Hosts:
    """Names and addresses that a Host header may hold; loopback addresses and ``localhost`` always may.

    Attributes:
        names: further names and addresses in lower case; ``*`` allows every host.
        any_address: allow every IP address; a page's own name is never an address.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False

    def allow(self, header: str) -> bool:
        """Whether a Host header, with or without a port, is allowed."""
        if ANY in self.names:
            return True
        name = _without_port(header)
        if name == "localhost" or name in self.names:
            return True
        address = _address(name)
        return address is not None and (self.any_address or address.is_loopback)


def allowed_hosts(listening: str, names: Iterable[str] = ()) -> Hosts:
    """The hosts of a server: where it listens, and what the user allows.

    Args:
        listening: host that the server was told to listen on; an unspecified address (0.0.0.0) allows every address.
        names: further names and addresses, without ports.
    """
    address = _address(_without_port(listening))
    any_address = address is not None and address.is_unspecified
    return Hosts(frozenset(_without_port(name) for name in (listening, *names)), any_address)


def _without_port(header: str) -> str:
    """The name or address of a Host header, in lower case, without port, brackets and a final dot."""
    header = header.strip().lower()
    if _address(header) is not None:  # an IPv6 address without brackets
        return header
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].removesuffix(".")


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None
