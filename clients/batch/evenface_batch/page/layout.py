"""The page, laid out and written as HTML that needs no other file."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from evenface_core.pictures import histogram_path
from jinja2 import Environment, PackageLoader, StrictUndefined

from evenface_batch.job import Job
from evenface_batch.page.faces import Face, face, read_faces
from evenface_batch.page.findings import Findings, Spot, find

PAGE_FILE = "page.html"


def write_page(job: Job, weighting: Mapping[str, str] | None = None) -> str:
    """Look at the parts of a job and write `page.html` beside them.

    Args:
        job: A job whose parts are there.
        weighting: How it was weighted, in words by name; None where it was not.

    Returns:
        The page's path or URL.

    Raises:
        JobError: A part cannot be read, or the page cannot be written.
    """
    findings = find(job.output)
    html = render(job, findings, _faces(job, findings), weighting or {})
    with job.folder.replacing(PAGE_FILE) as file:
        file.write(html.encode())
    return f"{job.folder.url}/{PAGE_FILE}"


def render(
    job: Job,
    findings: Findings,
    faces: Mapping[str, Sequence[Face]],
    weighting: Mapping[str, str],
) -> str:
    """Lay the findings out."""
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            plan=job.plan,
            out=job.folder.url,
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            findings=findings,
            faces=faces,
            weighting=weighting,
        )
    )


def _faces(job: Job, findings: Findings) -> Mapping[str, Sequence[Face]]:
    weighted = findings.weighted
    if weighted is None:
        return {}
    spots = [*weighted.rarest, *weighted.commonest]
    items = read_faces(job.chunks(), spots)

    def drawn(some: Sequence[Spot]) -> list[Face]:
        return [
            face(weighted.ids[one], one.weight / weighted.average, items.get((one.part, one.row)))
            for one in some
        ]

    return {"Rarest": drawn(weighted.rarest), "Commonest": drawn(weighted.commonest)}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("evenface_batch.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["histogram_path"] = histogram_path
    return environment
