import pytest

from benchmarks.serving.limits import bulk_limit, file_limit, unary_limit


def test_a_call_costs_at_least_transport_and_session() -> None:
    assert unary_limit(2, noop_cpu=300e-6, session_cpu=200e-6) == pytest.approx(4000)


def test_a_client_on_the_same_cores_lowers_the_limit() -> None:
    limit = unary_limit(2, noop_cpu=300e-6, session_cpu=150e-6, client_cpu=50e-6)
    assert limit == pytest.approx(4000)


def test_the_session_s_rate_shrinks_by_the_client_s_share_of_the_cores() -> None:
    assert bulk_limit(11_000, cores=2, client_cores=0.2) == pytest.approx(9900)


def test_a_file_costs_its_decoding_as_well() -> None:
    limit = file_limit(2, noop_cpu=300e-6, session_cpu=200e-6, decode_cpu=500e-6)
    assert limit == pytest.approx(2000)
