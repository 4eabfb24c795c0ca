"""Which Host headers are the studio's."""

import pytest
from evenface_studio.guard import is_our_name


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "192.168.7.3"])
def test_an_address_or_a_name_of_this_machine_is_ours(host: str) -> None:
    assert is_our_name(host, "127.0.0.1")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "1"])
def test_a_name_that_anybody_may_point_here_is_not(host: str) -> None:
    assert not is_our_name(host, "127.0.0.1")


def test_the_name_that_it_listens_on_is_ours() -> None:
    assert is_our_name("studio.lan", "studio.lan")
    assert not is_our_name("studio.lan", "0.0.0.0")  # noqa: S104
