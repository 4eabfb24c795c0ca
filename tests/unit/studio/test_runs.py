"""Folders on their way."""

import asyncio

import pytest
from evenface_studio.dataset.encoding import Progress
from evenface_studio.dataset.runs import Runs
from evenface_studio.dataset.shown import DataSet
from evenface_studio.problems import StudioError

SEVERAL = ExceptionGroup("of a task group", [ZeroDivisionError("a mistake")])
FORESEEN = StudioError("No image", "There is none.", "Choose another folder.")


@pytest.mark.parametrize(
    ("error", "title", "logged"),
    [
        (ZeroDivisionError("a mistake"), "The studio made a mistake", True),
        (SEVERAL, "The studio made a mistake", True),
        (FORESEEN, "No image", False),
    ],
)
async def test_whatever_ends_a_run_is_told_and_logged_where_nobody_foresaw_it(
    error: Exception, title: str, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Progress) -> DataSet:
        raise error

    runs = Runs(lambda _: None, "the service")
    run = runs.get(runs.begin(fail))
    await asyncio.wait([run.task])
    told = run.told()
    assert (told["state"], told["error"]["title"]) == ("failed", title)
    assert ("a mistake" in caplog.text) is logged
