"""What the machine allows, computed from what its parts cost in the same run.

A core-second is spent by whoever takes it, the client included, so a bound is always cores over
the CPU time that one call must cost. Pure arithmetic.
"""


def unary_limit(cores: int, noop_cpu: float, session_cpu: float, client_cpu: float = 0.0) -> float:
    """Calls per second where each costs the bare transport and the bare session.

    Args:
        cores: CPU cores of the machine.
        noop_cpu: CPU seconds a call costs a server that does nothing.
        session_cpu: CPU seconds that the session takes for a call's images.
        client_cpu: CPU seconds a call costs the client, where it runs on the same cores.
    """
    return cores / (noop_cpu + session_cpu + client_cpu)


def bulk_limit(session_rate: float, cores: int, client_cores: float) -> float:
    """Images per second of the bare session on the cores that the client leaves.

    Args:
        session_rate: Images per second of one session per core.
        cores: CPU cores of the machine.
        client_cores: CPU seconds per second that the client took.
    """
    return session_rate * (1 - client_cores / cores)


def file_limit(
    cores: int, noop_cpu: float, session_cpu: float, decode_cpu: float, client_cpu: float = 0.0
) -> float:
    """Calls per second where each costs transport, decoding and session.

    Args:
        cores: CPU cores of the machine.
        noop_cpu: CPU seconds a call costs a server that does nothing.
        session_cpu: CPU seconds that the session takes for one image.
        decode_cpu: CPU seconds that decoding takes for one file.
        client_cpu: CPU seconds a call costs the client, where it runs on the same cores.
    """
    return unary_limit(cores, noop_cpu, session_cpu + decode_cpu, client_cpu)
