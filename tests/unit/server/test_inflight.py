"""When a server may close."""

import asyncio

from evenface_server.inflight import InFlight
from evenface_server.logs import CallRecord


async def test_settling_waits_for_the_calls_of_that_moment() -> None:
    in_flight, call = InFlight(), CallRecord("a")
    in_flight.begin(call)
    settling = asyncio.create_task(in_flight.settle(60.0))
    await asyncio.sleep(0.5)  # longer than the quiet that it waits for
    assert not settling.done()
    in_flight.end(call)
    await asyncio.wait_for(settling, 10)


async def test_nothing_in_flight_settles_at_once() -> None:
    await asyncio.wait_for(InFlight().settle(60.0), 10)


async def test_settling_gives_up_on_callers_who_will_not_stop() -> None:
    in_flight = InFlight()

    async def call_forever() -> None:
        while True:
            call = CallRecord("again")
            in_flight.begin(call)
            await asyncio.sleep(0.01)
            in_flight.end(call)

    caller = asyncio.create_task(call_forever())
    await asyncio.wait_for(in_flight.settle(60.0), 20)
    caller.cancel()


async def test_settling_ends_with_its_time() -> None:
    in_flight = InFlight()
    in_flight.begin(CallRecord("a"))
    await asyncio.wait_for(in_flight.settle(0.05), 10)
