import pytest

from benchmarks.serving.h2load import LoadFailed, parse_log, parse_summary, percentile

OUTPUT = """\
finished in {seconds}, 1139.00 req/s, 1.02MB/s
requests: 2278 total, 2310 started, {done} done, {ok} succeeded, {bad} failed, {bad} errored, 0 timeout
status codes: 2278 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 2.05MB (2147202) total, 7.26KB (7434) headers (space savings 95.97%), 1.82MB (1911242) data
                     min         max         mean         sd        +/- sd
"""  # noqa: E501 - as it is printed


def output(seconds: str = "2.00s", ok: int = 2278, bad: int = 0) -> str:
    return OUTPUT.format(seconds=seconds, done=ok + bad, ok=ok, bad=bad)


def test_counts_time_and_bytes_are_read_from_what_h2load_prints() -> None:
    summary = parse_summary("starting benchmark...\n" + output())
    assert (summary.seconds, summary.succeeded, summary.failed) == (2.0, 2278, 0)
    assert summary.body_bytes == 1911242


@pytest.mark.parametrize(("text", "seconds"), [("940.50ms", 0.9405), ("1.5m", 90.0)])
def test_the_unit_of_the_time_is_heeded(text: str, seconds: float) -> None:
    assert parse_summary(output(seconds=text)).seconds == pytest.approx(seconds)


def test_a_request_that_failed_is_counted_once() -> None:
    assert parse_summary(output(ok=2270, bad=8)).failed == 8


def test_the_last_line_is_told_when_h2load_does_not_finish() -> None:
    with pytest.raises(LoadFailed, match=r"value error 1\.5"):
        parse_summary("starting benchmark...\n-D: value error 1.5\n")


def test_silence_of_h2load_is_an_error() -> None:
    with pytest.raises(LoadFailed, match="nothing"):
        parse_summary("")


def test_only_answers_with_status_2xx_have_a_time() -> None:
    log = "1795275639482094\t200\t7084\n1795275639482095\t503\t10\n1795275639482096\t-1\t20\n"
    assert parse_log(log).tolist() == [7.084]


def test_an_empty_log_has_no_percentile() -> None:
    assert percentile(parse_log(""), 99) != percentile(parse_log(""), 99)  # NaN
