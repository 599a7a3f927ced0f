import socket

import pytest

from batchgen.api.addresses import (
    AddressRefused,
    guarded_socket,
    is_inner_literal,
    is_loopback,
    is_loopback_host,
    is_public,
    server_name,
)

INNER = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.5",
    "240.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:808:808::",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1::808:808",
    "::127.0.0.1",
    "fec0::1",
    "3fff::1",
    "5f00::1",
    "192.0.0.192",
    "192.88.99.1",
    "168.63.129.16",
    "2606:4700:4700::1111%eth0",
    "fe80::1%eth0",
    "nonsense",
]


@pytest.mark.parametrize("address", INNER)
def test_addresses_that_a_result_link_has_no_reason_to_lead_to_are_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(AddressRefused):
        guarded_socket(is_public)((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_open_internet_are_not(address: str) -> None:
    """Also as a network that has IPv6 alone shows an IPv4 address; nothing could be fetched there otherwise."""
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "127.0.0.1.", "10.0.0.1.", "2130706433", "0x7f.1", "010.8.8.8", "1.1", "a.localhost"]
)
def test_a_host_that_is_an_address_is_judged_without_a_look_up(host: str) -> None:
    assert is_inner_literal(host)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "[2606:4700:4700::1111]", "example.com", "localhost.example.com", "0xf.example"]
)
def test_and_a_name_or_an_open_address_is_left_to_the_look_up(host: str) -> None:
    assert not is_inner_literal(host)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://store.example/p?sig=secret", "store.example"),
        ("https://store.example?sig=secret", "store.example"),
        ("https://me:secret@store.example:8443/p", "store.example:8443"),
        ("http://[::1]:9#secret", "[::1]:9"),
        ("https://" + "a" * 200 + "/", "a" * 100),
        ("https://[secret", "the server"),
        ("secret", "the server"),
    ],
)
def test_a_message_names_a_server_and_nothing_else_of_a_link(url: str, name: str) -> None:
    assert server_name(url) == name


def test_a_provider_on_this_machine_may_link_to_this_machine_and_no_further() -> None:
    make = guarded_socket(is_loopback)

    make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))).close()
    with pytest.raises(AddressRefused):
        make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80)))


def test_loopback_is_known_by_name_and_number() -> None:
    assert all(
        is_loopback_host(host) for host in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "[::1]", "127.1.2.3")
    )
    assert not any(
        is_loopback_host(host) for host in ("localhost.example.com", "alocalhost", "128.0.0.1", "example.com", "")
    )
