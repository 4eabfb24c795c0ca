"""The context of whoever calls, where the program traces with OpenTelemetry. No dependency."""

import sys


def trace_context() -> tuple[tuple[str, str], ...]:
    """Return the current context as metadata, as the program's propagators have it (`traceparent`).

    Empty where the program does not use OpenTelemetry, which is not imported for this.
    """
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry import propagate  # noqa: PLC0415

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple((key.lower(), value) for key, value in carrier.items())
