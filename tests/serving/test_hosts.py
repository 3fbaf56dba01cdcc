"""Host headers under which a server answers."""

import pytest

from bertram.serving.hosts import Hosts, allowed_hosts

LOOPBACK = [
    "localhost",
    "LOCALHOST:8000",
    "localhost.",
    "127.0.0.1",
    "127.0.0.1:8000",
    "127.8.9.1",
    "[::1]",
    "[::1]:80",
]
OTHERS = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "",
    ":80",
    "[",
    "a b",
]


@pytest.mark.parametrize("header", LOOPBACK)
def test_loopback_is_always_allowed(header: str) -> None:
    for hosts in (Hosts(), allowed_hosts("127.0.0.1"), allowed_hosts("0.0.0.0"), allowed_hosts("::", ["a.example"])):
        assert hosts.allow(header)


@pytest.mark.parametrize("header", OTHERS)
def test_no_other_name_is_allowed_unless_it_is_given(header: str) -> None:
    for hosts in (Hosts(), allowed_hosts("127.0.0.1"), allowed_hosts("0.0.0.0"), allowed_hosts("::", ["a.example"])):
        assert not hosts.allow(header)
    assert allowed_hosts("127.0.0.1", ["*"]).allow(header)


def test_given_names_are_allowed_with_any_port_and_in_any_case() -> None:
    hosts = allowed_hosts("127.0.0.1", ["Demo.example", "192.0.2.7", "demo2.example:8000", "2001:db8::1"])
    for header in ("demo.example", "DEMO.EXAMPLE:80", "192.0.2.7:8000", "demo2.example", "[2001:db8::1]:8000"):
        assert hosts.allow(header)
    assert not hosts.allow("192.0.2.8")
    assert not hosts.allow("sub.demo.example")


def test_where_the_server_listens_is_allowed_and_every_address_only_if_it_listens_on_all() -> None:
    assert allowed_hosts("192.0.2.7").allow("192.0.2.7:8000")
    assert not allowed_hosts("192.0.2.7").allow("192.0.2.8:8000")
    assert allowed_hosts("box.example").allow("box.example:8000")
    for everywhere in ("0.0.0.0", "::", "[::]"):
        assert allowed_hosts(everywhere).allow("192.0.2.8:8000")
        assert allowed_hosts(everywhere).allow("[2001:db8::1]")
        assert not allowed_hosts(everywhere).allow("box.example")
