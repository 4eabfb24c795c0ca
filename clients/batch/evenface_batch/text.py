"""Names and messages as text that fits a file of UTF-8, and a line."""


def shown(text: str) -> str:
    """The text, with what is no UTF-8 in it (bytes of a file's name, say) written as hex digits."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def one_line(text: str, most: int = 300) -> str:
    """The text without line breaks, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
