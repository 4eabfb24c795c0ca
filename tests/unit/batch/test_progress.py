"""Progress: what is said of how far a job is, and what is left."""

import pytest
from evenface_batch.plan import ListingFacts
from evenface_batch.progress import Progress
from evenface_batch.scoring import Done


def listing(chunks: int, items: int | None) -> ListingFacts:
    return ListingFacts(digest="", chunks=chunks, items=items)


def test_a_line_has_rate_errors_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with Progress(listing(10, 1000), 0, lambda: now[0]) as progress:
        for seconds, index in ((5.0, 0), (20.0, 1)):
            now[0] = seconds
            progress.add(Done(index, 100, index))
    assert capsys.readouterr().err == "200 of 1,000 images, 10/s, 1 errors, 01:20 left\n"


def test_a_resumed_job_counts_what_is_left_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    with Progress(listing(10, 1000), 6, lambda: now[0]) as progress:
        now[0] = 10.0
        progress.add(Done(6, 100, 0))
    assert capsys.readouterr().err == "100 of 400 images, 10/s, 0 errors, 00:30 left\n"


def test_where_nobody_has_counted_the_items_the_chunks_so_far_tell() -> None:
    now = [0.0]
    with Progress(listing(4, None), 0, lambda: now[0]) as progress:
        assert progress.line() == "0 of about ? images, 0/s, 0 errors, time left unknown"
        now[0] = 1.0
        progress.add(Done(0, 50, 0))
        assert progress.line() == "50 of about 200 images, 50/s, 0 errors, 00:03 left"
