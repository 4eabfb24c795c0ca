"""The door that closes for draining."""

import asyncio

import pytest
from evenface_core.errors import ServiceUnavailable
from evenface_server.admission import Door


async def test_a_closed_door_lets_nobody_in_but_those_inside_finish() -> None:
    door = Door()
    with door.enter():
        door.close()
        leaving = asyncio.create_task(door.empty())
        await asyncio.sleep(0)
        assert not leaving.done()
        with pytest.raises(ServiceUnavailable) as caught, door.enter():
            pass
        assert caught.value.retry_after > 0
    await leaving


async def test_a_door_that_nobody_passed_is_empty() -> None:
    await Door().empty()


async def test_an_error_inside_counts_as_leaving() -> None:
    door = Door()
    with pytest.raises(ValueError, match="inside"), door.enter():
        raise ValueError("inside")
    await door.empty()
