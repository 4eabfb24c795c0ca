"""An HTML page as a reader meets it: its text, tables, pictures and links."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "img", "br", "link", "input", "hr"}
Attributes = dict[str, str | None]


@dataclass
class Page(HTMLParser):
    """A parsed page.

    Attributes:
        tags: Every element with its attributes, in order.
        tables: Rows of texts, one list a table.
        problems: Elements that are closed wrongly.
    """

    html: str = field(repr=False)
    tags: list[tuple[str, Attributes]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._texts: list[str] = []
        self._table_texts: list[list[str]] = []
        self.feed(self.html)
        self.close()
        self.problems += [f"{tag} is left open" for tag in self._open]

    __hash__ = None  # type: ignore[assignment]

    @property
    def text(self) -> str:
        """All text outside of style sheets, with single spaces."""
        return " ".join(" ".join(self._texts).split())

    def all(self, tag: str) -> list[Attributes]:
        """Attributes of each element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    def row(self, *begin: str) -> list[str]:
        """The rest of the first table row that begins with these texts."""
        for table in self.tables:
            for row in table:
                if row[: len(begin)] == list(begin):
                    return row[len(begin) :]
        raise AssertionError(f"no table row begins with {begin}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"{tag} is closed where it is not open")

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self._texts.append(data)
        if {"td", "th"} & set(self._open):
            cell = f"{self.tables[-1][-1][-1]} {data}"
            self.tables[-1][-1][-1] = " ".join(cell.split())
