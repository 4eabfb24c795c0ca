"""The routes of the tab Dataset; what takes a second goes to threads."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from aiohttp import web
from evenface_core.errors import InvalidInput

from evenface_studio.asked import asked_in_body, asked_in_query
from evenface_studio.dataset import table as tables
from evenface_studio.dataset.asking import Looking, Opening, Starting
from evenface_studio.dataset.encoding import (
    MOST_IMAGES,
    RULES,
    Progress,
    Task,
    encode_folder,
    list_images,
)
from evenface_studio.dataset.export import Form, export
from evenface_studio.dataset.opening import open_parquet
from evenface_studio.dataset.pictures import missing, why
from evenface_studio.dataset.roots import Roots, kind_of
from evenface_studio.dataset.runs import Runs
from evenface_studio.dataset.shown import DataSet, Shelf
from evenface_studio.problems import StudioError
from evenface_studio.service import service_of
from evenface_studio.settings import Settings
from evenface_studio.told import told

P = ParamSpec("P")
T = TypeVar("T")

_TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8"}


@dataclass
class _State:
    """What the tab holds while the studio runs.

    Attributes:
        roots: What may be read.
        shelf: Data sets that are open.
        runs: Folders that are being encoded.
        heavy: Lets few be opened or filtered at once: each takes a core, and memory.
        drawing: Lets few thumbnails be drawn at once.
    """

    roots: Roots
    shelf: Shelf
    runs: Runs
    heavy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    drawing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))


_STATE = web.AppKey("dataset", _State)


def context(app: web.Application, settings: Settings) -> None:
    """Prepare the application for the tab.

    Raises:
        ConfigError: A root is not there.
    """
    shelf = Shelf()
    app[_STATE] = state = _State(Roots(settings.data), shelf, Runs(shelf.put, settings.server))

    async def ending(_: web.Application) -> AsyncIterator[None]:
        yield
        await state.runs.end()

    app.cleanup_ctx.append(ending)


def routes() -> list[web.RouteDef]:
    """The routes of the tab."""
    return [
        web.get("/api/dataset/places", _places),
        web.post("/api/dataset/open", _open),
        web.post("/api/dataset/runs", _begin),
        web.get("/api/dataset/runs/{run}", _run),
        web.post("/api/dataset/runs/{run}/cancel", _cancel),
        web.get("/api/dataset/sets/{key}", _summary),
        web.get("/api/dataset/sets/{key}/rows", _rows),
        web.get("/api/dataset/sets/{key}/rows/{row:\\d{1,12}}/thumbnail", _thumbnail),
        web.get("/api/dataset/sets/{key}/export", _export),
    ]


async def _places(request: web.Request) -> web.Response:
    state = request.app[_STATE]
    found = await asyncio.to_thread(state.roots.listed)
    return told(
        {
            "roots": [str(path) for path in state.roots.paths],
            "places": [{"path": state.roots.shown(one.path), "kind": one.kind} for one in found],
            "most_images": MOST_IMAGES,
            "rules": RULES,
        }
    )


async def _open(request: web.Request) -> web.Response:
    """Open a job or a file; of a folder say what encoding it would mean."""
    state, wanted = request.app[_STATE], await asked_in_body(Opening, request)
    path = await asyncio.to_thread(state.roots.resolve, wanted.path)
    if await asyncio.to_thread(kind_of, path) == "folder":
        names = await asyncio.to_thread(list_images, path)
        shown = state.roots.shown(path)
        return told({"kind": "folder", "path": shown, "images": len(names)})
    opened = await _in_thread(state.heavy, open_parquet, state.roots, path)
    state.shelf.put(opened)
    return told({"kind": "set", "key": opened.key})


async def _begin(request: web.Request) -> web.Response:
    state, wanted = request.app[_STATE], await asked_in_body(Starting, request)
    path = await asyncio.to_thread(state.roots.resolve, wanted.path)
    task = Task(path, wanted.model, wanted.version, wanted.rule, wanted.least)
    client = service_of(request).client

    async def work(progress: Progress) -> DataSet:
        return await encode_folder(client, state.roots, task, progress)

    return told({"run": state.runs.begin(work)})


async def _run(request: web.Request) -> web.Response:
    return told(request.app[_STATE].runs.get(request.match_info["run"]).told())


async def _cancel(request: web.Request) -> web.Response:
    run = request.app[_STATE].runs.get(request.match_info["run"])
    run.task.cancel()
    await asyncio.wait([run.task])
    return told(run.told())


async def _summary(request: web.Request) -> web.Response:
    state, found, wanted = _looked_at(request)
    return told(await _in_thread(state.heavy, _summed_up, found, wanted))


def _summed_up(found: DataSet, wanted: Looking) -> Mapping[str, Any]:
    mask, _ = found.chosen(wanted.look)
    table, facts = found.table, asdict(found.facts)
    facts["has_weights"] = bool(facts.pop("mark")) and tables.average_weight(table) is not None
    columns = {name: list(labels.values) for name, labels in table.labels.items()}
    column = wanted.column if wanted.column in columns else _telling(columns)
    return {
        **facts,
        "rows": len(table),
        "failed": int(table.failed.sum()),
        "columns": columns,
        "has_probabilities": bool((table.probabilities >= 0).any()),
        "all": asdict(tables.summarise(table, ~table.failed)),
        "chosen": asdict(tables.summarise(table, mask)),
        "edges": tables.weight_edges(table).tolist(),
        "column": column,
        "shares": [] if column is None else list(map(asdict, tables.shares(table, mask, column))),
    }


def _telling(columns: Mapping[str, list[str]]) -> str | None:
    """The first column with several labels, or else the first."""
    return next(
        (name for name, values in columns.items() if len(values) > 1), next(iter(columns), None)
    )


async def _rows(request: web.Request) -> web.Response:
    state, found, wanted = _looked_at(request)
    return told(await _in_thread(state.heavy, _page, found, wanted))


def _page(found: DataSet, wanted: Looking) -> Mapping[str, Any]:
    _, order = found.chosen(wanted.look)
    last = max(0, (len(order) - 1) // wanted.size)
    page = min(wanted.page, last)
    rows = order[page * wanted.size : (page + 1) * wanted.size].astype("int64")
    average = tables.average_weight(found.table)
    cells = found.cells(rows)
    shown = []
    for row, cell in zip(rows.tolist(), cells, strict=True):
        place = found.pictures.find(cell)
        weight = float(found.table.weights[row])
        probability = float(found.table.probabilities[row])
        shown.append(
            {
                "row": row,
                "id": cell.id,
                "error": cell.error,
                "problem": place if isinstance(place, str) else None,
                "multiple": weight / average if average and weight >= 0 else None,
                "probability": probability if probability >= 0 else None,
                "labels": {
                    name: labels.values[code]
                    for name, labels in found.table.labels.items()
                    if (code := int(labels.codes[row])) != tables.NO_LABEL
                },
            }
        )
    return {"total": len(order), "page": page, "pages": last + 1, "rows": shown}


async def _thumbnail(request: web.Request) -> web.Response:
    state = request.app[_STATE]
    found, row = state.shelf.get(request.match_info["key"]), int(request.match_info["row"])
    if row >= len(found.table):
        raise StudioError(
            "No such row",
            f"{row}; the data set has {len(found.table)}.",
            "Load the page again.",
            status=404,
        )
    drawn, reason = await _in_thread(state.drawing, _drawn, found, row)
    headers = {"Cache-Control": "private, max-age=600", "X-Problem": reason}
    # A picture in any case, as an error would be one of the browser's console too.
    kind = "image/svg+xml" if reason else "image/jpeg"
    return web.Response(body=drawn, content_type=kind, headers=headers)


def _drawn(found: DataSet, row: int) -> tuple[bytes, str]:
    [cell] = found.cells(np.array([row]))
    try:
        return found.pictures.draw(cell), ""
    except (OSError, InvalidInput) as error:
        reason = re.sub(r"[^ -~]", "?", why(error))[:200]
        return missing(reason), reason


async def _export(request: web.Request) -> web.StreamResponse:
    state, found, wanted = _looked_at(request)
    form = cast("Form", wanted.form)
    if not found.facts.mark:
        raise StudioError(
            "There are no weights yet",
            f"{found.facts.title} has none.",
            "Run `evenface-batch weights --out` on the job, and open it again.",
        )
    mask, _ = await _in_thread(state.heavy, found.chosen, wanted.look)
    pieces = export(found.rows, found.table.weights, mask, found.facts.mark, form)
    piece = await _in_thread(state.heavy, _next, pieces)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", found.facts.title).strip("-.")[-60:] or "data"
    response = web.StreamResponse(
        headers={
            "Content-Type": _TYPES[form],
            "Content-Disposition": f'attachment; filename="{name}-weights.{form}"',
        }
    )
    await response.prepare(request)
    try:
        while piece is not None:
            await response.write(piece)
            piece = await _in_thread(state.heavy, _next, pieces)
    except StudioError:  # too late to tell: the browser must not take half for the whole
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


async def _in_thread(
    gate: asyncio.Semaphore, work: Callable[P, T], *args: P.args, **named: P.kwargs
) -> T:
    """Run in a thread what few may run at once; one that nobody waits for any more counts too."""
    await gate.acquire()
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **named))

    def free(done: "asyncio.Future[T]") -> None:
        gate.release()
        if not done.cancelled():
            done.exception()  # seen, should nobody wait for it

    running.add_done_callback(free)
    return await asyncio.shield(running)


def _looked_at(request: web.Request) -> tuple[_State, DataSet, Looking]:
    state = request.app[_STATE]
    return state, state.shelf.get(request.match_info["key"]), asked_in_query(Looking, request)
