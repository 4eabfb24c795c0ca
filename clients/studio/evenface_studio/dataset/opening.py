"""Opening what lies below a root: a job, or one Parquet file."""

from pathlib import Path

from evenface_studio.dataset.job import Files, Origins, read_origins
from evenface_studio.dataset.labels import LabelFile
from evenface_studio.dataset.parquet import ParquetRows, open_rows
from evenface_studio.dataset.pictures import Pictures
from evenface_studio.dataset.roots import JOB_FILE, Roots
from evenface_studio.dataset.shown import DataSet, Facts, key_of
from evenface_studio.dataset.table import Labels, Table

_MOST_JOINED = 500_000  # rows whose ids are looked up in a labels.csv


def open_parquet(roots: Roots, path: Path) -> DataSet:
    """Open a job or a Parquet file; takes a second for a million rows.

    Args:
        roots: What may be read.
        path: Below a root, links resolved.

    Raises:
        StudioError: It cannot be read, or is not of `evenface-batch`.
    """
    rows, table = open_rows(path)
    pictures = _pictures(roots, rows.path)
    table = _labelled(roots, rows, table, pictures)
    plan = rows.plan
    facts = Facts(
        title=roots.shown(rows.path),
        kind="job" if rows.path.is_dir() else "parquet",
        model=f"{plan.model.name}/{plan.model.version}" if plan else "",
        mark=rows.mark,
        missing=rows.missing,
        mixed=rows.mixed,
    )
    return DataSet(key_of(rows.path, rows.stamp), facts, table, rows, pictures)


def _pictures(roots: Roots, path: Path) -> Pictures:
    job = path if path.is_dir() else path.parent.parent
    if roots.holds(job) and (job / JOB_FILE).is_file():
        return Pictures(roots, origins=read_origins(job))
    folders = (path.parent, *(root for root in roots.paths if root.is_dir()))
    return Pictures(roots, folders=tuple(dict.fromkeys(folders)))


def _labelled(roots: Roots, rows: ParquetRows, table: Table, pictures: Pictures) -> Table:
    """Add the label columns of a `labels.csv` beside a job's images, where there is one."""
    folder = _folder_of(pictures.origins)
    if table.labels or folder is None or len(table) > _MOST_JOINED:
        return table
    lines = LabelFile(roots, folder)
    if not lines.columns:
        return table
    names = [str(name) for some in rows.names() for name in some.to_pylist()]
    labels: dict[str, Labels] = dict(lines.labels(names))
    return Table(table.weights, table.probabilities, table.failed, labels)


def _folder_of(origins: Origins) -> Path | None:
    """The one folder of all images of a job, where ids are paths below it."""
    if len(origins.different) != 1:
        return None
    [origin] = origins.different
    if isinstance(origin, Files) and not origin.prefix and origin.base.startswith("/"):
        return Path(origin.base)
    return None
