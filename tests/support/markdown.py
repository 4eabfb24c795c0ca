"""Code that stands in pages of Markdown."""

import re


def code_blocks(page: str, kind: str) -> list[str]:
    """All blocks that are marked as of a kind; there has to be one."""
    found = re.findall(rf"^```{kind}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert found
    return found
