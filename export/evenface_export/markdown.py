"""A few pieces of Markdown, as text."""

from collections.abc import Iterable, Sequence


def section(title: str, *blocks: str) -> str:
    """A heading with its paragraphs, lists and tables; empty ones are left out."""
    return paragraphs(title, *blocks)


def paragraphs(*blocks: str) -> str:
    """Blocks with a blank line between them; empty ones are left out."""
    return "\n\n".join(filter(None, blocks))


def bullets(*items: str) -> str:
    """A list."""
    return "\n".join(f"- {item}" for item in items)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what its cells hold cannot break it."""
    lines = [titles, ["---"] * len(titles), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float) -> str:
    """A share of 0 to 1, such as "12.34 %"."""
    return f"{100 * share:.2f} %"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
