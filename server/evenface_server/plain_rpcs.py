"""RPCs of services that are not ours, health and reflection: neither measured nor logged."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from evenface_core.errors import EvenfaceError
from evenface_transport import Call, Method, StatusError
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from evenface_server.access import Access
from evenface_server.faults import Faults
from evenface_server.rpc import caller_of, denial_of, message_of

# Of a request, which is the name of something, and may be held for as long as a stream is open.
_MOST_BYTES: Final = 2**10


class PlainRpcs:
    """Makes the methods of such services.

    Args:
        faults: Says what callers are told of errors.
        access: Says who may call what.
    """

    def __init__(self, faults: Faults, access: Access) -> None:
        self._faults = faults
        self._access = access

    def methods(self, service: ServiceDescriptor, servicer: object) -> dict[str, Method]:
        """Return the methods of a service by path, those that the servicer has."""
        return {
            f"/{service.full_name}/{method.name}": self._plain(
                method, getattr(servicer, method.name)
            )
            for method in service.methods
            if hasattr(servicer, method.name)
        }

    def _plain(self, method: MethodDescriptor, handler: Any) -> Method:  # noqa: ANN401 - either kind
        parse = GetMessageClass(method.input_type).FromString

        async def unary(data: bytes, call: Call) -> bytes:
            try:
                caller_of(self._access, call).charge()
                reply: Message = await handler(message_of(parse, data), call)
            except EvenfaceError as error:
                raise self._faults.status_of(error) from error
            return reply.SerializeToString()

        async def stream(requests: AsyncIterator[bytes], call: Call) -> AsyncGenerator[bytes, None]:
            parsed = (message_of(parse, data) async for data in requests)
            try:
                caller_of(self._access, call).charge()
                async with aclosing(handler(parsed, call)) as replies:
                    async for reply in replies:
                        yield reply.SerializeToString()
                        del reply
            except EvenfaceError as error:
                raise self._faults.status_of(error) from error

        def refuse(call: Call) -> StatusError | None:
            error = denial_of(caller_of(self._access, call))
            return None if error is None else self._faults.status_of(error)

        streams = method.client_streaming or method.server_streaming
        return Method(
            unary=None if streams else unary,
            stream=stream if streams else None,
            refuse=refuse,
            max_message_bytes=_MOST_BYTES,
            takes_one=not method.client_streaming,
        )
