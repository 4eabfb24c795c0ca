"""Which hosts are this machine. Transport-free."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host stays on this machine; no name but localhost is looked up."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
