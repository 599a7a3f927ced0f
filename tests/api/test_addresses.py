import socket

import pytest

from batchgen.api.addresses import AddressRefused, guarded_socket, is_loopback_host, is_public

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
    "64:ff9b::808:808",
    "2002:7f00:1::",
    "2002:808:808::",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "fe80::1%eth0",
    "nonsense",
]


@pytest.mark.parametrize("address", INNER)
def test_addresses_that_a_result_link_has_no_reason_to_lead_to_are_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(AddressRefused):
        guarded_socket(allow_loopback=False)((socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_addresses_of_the_open_internet_are_not(address: str) -> None:
    assert is_public(address)


def test_a_provider_on_this_machine_may_link_to_this_machine_and_no_further() -> None:
    make = guarded_socket(allow_loopback=True)

    make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))).close()
    with pytest.raises(AddressRefused):
        make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80)))


def test_loopback_is_known_by_name_and_number() -> None:
    assert all(is_loopback_host(host) for host in ("localhost", "LOCALHOST.", "127.0.0.1", "[::1]", "127.1.2.3"))
    assert not any(is_loopback_host(host) for host in ("localhost.example.com", "128.0.0.1", "example.com", ""))
