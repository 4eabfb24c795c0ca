"""Which client certificates are let in."""

from pathlib import Path
from typing import Any

import pytest
from evenface_core.errors import ConfigError
from evenface_server.access.globs import Globs
from evenface_server.access.subjects import names_of, watch_subjects
from evenface_server.settings import Settings

# As `ssl.SSLSocket.getpeercert` has it.
CERTIFICATE: dict[str, Any] = {
    "subject": ((("organizationName", "Any"),), (("commonName", "client"), ("serialNumber", "1"))),
    "subjectAltName": (
        ("DNS", "a.example.com"),
        ("URI", "spiffe://example.com/jobs"),
        ("IP Address", "10.0.0.1"),
        ("email", "root@example.com"),
    ),
    "version": 3,
}


def load(path: Path) -> Globs:
    settings = {"tls_cert": "x", "tls_key": "x", "tls_client_ca": "x"}
    found = watch_subjects(Settings.model_validate({**settings, "tls_allowed_subjects": path}))
    assert found is not None
    return found.value


def test_a_certificate_s_names_are_its_common_name_dns_names_and_uris() -> None:
    assert names_of(CERTIFICATE) == ("client", "a.example.com", "spiffe://example.com/jobs")
    assert names_of({}) == ()


def test_a_line_is_a_name_and_comments_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "subjects"
    path.write_text("# jobs\nclient\n\n  *.example.com  # all of them\nspiffe://example.com/jobs\n")
    subjects = load(path)
    assert subjects.find("client") == "client"
    assert subjects.find("a.b.example.com") == "*.example.com"
    assert subjects.find("spiffe://example.com/jobs") == "spiffe://example.com/jobs"
    assert subjects.find("example.com") is None
    assert subjects.find("# jobs") is None


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
        ("a*", "a", True),
        ("a*", "ba", False),
        ("*a", "ab", False),
        ("a*c", "a/b/c", True),
        ("a*c", "a\nc", True),
        ("a?", "ab", False),
        ("[ab]", "a", False),
        ("a", "A", False),
    ],
)
def test_only_the_star_stands_for_other_text(pattern: str, name: str, *, fits: bool) -> None:
    assert (Globs([pattern]).find(name) is not None) is fits


def test_more_names_than_are_remembered_are_judged_all_the_same() -> None:
    globs = Globs(["a*"])
    for _ in range(2):
        assert all(globs.find(f"a{number}") == "a*" for number in range(3000))
        assert all(globs.find(f"b{number}") is None for number in range(3000))


@pytest.mark.parametrize(
    ("text", "problem"), [("", "names nobody"), ("# nobody\n\n", "names nobody"), (None, "No such")]
)
def test_a_file_that_lets_nobody_in_is_an_error(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    path = tmp_path / "subjects"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=f"--tls-allowed-subjects: .*subjects.*{problem}"):
        load(path)


def test_the_list_needs_an_authority() -> None:
    with pytest.raises(ValueError, match="tls_allowed_subjects needs tls_client_ca"):
        Settings.model_validate({"tls_allowed_subjects": "x"})
