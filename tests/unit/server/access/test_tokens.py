"""The tokens file: what it may say, and what is said of a wrong one."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from evenface_core.errors import ConfigError
from evenface_server.access.tokens import Grant, digest_of, new_token, watch_tokens
from evenface_server.settings import Settings

A, B = "a" * 64, "b" * 64


def load(path: Path) -> Mapping[bytes, Grant]:
    found = watch_tokens(Settings.model_validate({"tokens_file": path}))
    assert found is not None
    return found.value


def written(folder: Path, text: str) -> Path:
    path = folder / "tokens.yaml"
    path.write_text(text)
    return path


def test_a_token_is_known_by_its_digest_alone(tmp_path: Path) -> None:
    token = new_token()
    digest = digest_of(token)
    path = written(tmp_path, f"tokens: [{{name: jobs, sha256: {digest.hex()}}}]")
    grants = load(path)
    assert grants[digest].name == "jobs"
    assert token not in path.read_text()
    assert digest_of(token + " ") not in grants


def test_json_is_read_too(tmp_path: Path) -> None:
    path = written(tmp_path, f'{{"tokens": [{{"name": "jobs", "sha256": ["{A}", "{B}"]}}]}}')
    assert [grant.name for grant in load(path).values()] == ["jobs", "jobs"]


def test_several_tokens_of_one_caller_share_what_it_may(tmp_path: Path) -> None:
    grants = load(written(tmp_path, f"tokens: [{{name: jobs, sha256: [{A}, {B}]}}]"))
    assert grants[bytes.fromhex(A)] is grants[bytes.fromhex(B)]


@pytest.mark.parametrize(
    ("pattern", "path", "may"),
    [
        ("*", "/evenface.v1.FaceService/Encode", True),
        ("FaceService/Encode*", "/evenface.v1.FaceService/EncodeStream", True),
        ("FaceService/Encode*", "/evenface.v1.FaceService/Decode", False),
        ("FaceService/Encode", "/evenface.v1.FaceService/EncodeStream", False),
        ("evenface.v1.FaceService/*", "/evenface.v1.FaceService/Decode", True),
        ("evenface.v1.FaceService/*", "/evenface.v2.FaceService/Decode", False),
        ("FaceService/*", "/evenface.v1.SurfaceService/Decode", False),
        ("FaceService/*", "/evenface.v1.ModelService/GetModel", False),
        ("FaceService/Encode.", "/evenface.v1.FaceService/EncodeX", False),
        ("*", "/evenface.v1.AdminService/UnloadModel", False),
        ("evenface.v1.*/*", "/evenface.v1.AdminService/UnloadModel", False),
        ("AdminService/Get*", "/evenface.v1.AdminService/GetStatus", True),
        ("AdminService/Get*", "/evenface.v1.AdminService/UnloadModel", False),
        ("evenface.v1.AdminService/*", "/evenface.v1.AdminService/UnloadModel", True),
    ],
)
def test_rpcs_are_named_with_or_without_their_package(
    tmp_path: Path, pattern: str, path: str, *, may: bool
) -> None:
    text = f"tokens: [{{name: jobs, sha256: {A}, rpcs: ['{pattern}']}}]"
    (grant,) = load(written(tmp_path, text)).values()
    assert grant.allows(path) is may


def test_rates_have_a_second_s_worth_of_burst_where_none_is_given(tmp_path: Path) -> None:
    text = f"""
    tokens:
      - {{name: slow, sha256: {A}, requests_per_second: 0.2, rows_per_second: 5000}}
      - {{name: fast, sha256: {B}, requests_per_second: 100, burst: 7}}
    """
    slow, fast = load(written(tmp_path, text)).values()
    assert slow.requests is not None
    assert slow.requests[1:] == (0.2, 1.0)
    assert slow.rows is not None
    assert slow.rows[1:] == (5000, 5000)
    assert fast.requests is not None
    assert fast.requests[1:] == (100, 7)
    assert fast.rows is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tokens: 3", "'tokens': Input should be a valid tuple"),
        ("", "expected a mapping"),
        ("token: []", r"unknown key 'token' \(did you mean 'tokens'\?\)"),
        (f"tokens: [{{name: a, sha265: {A}}}]", r"'tokens.0.sha265' \(did you mean 'sha256'\?\)"),
        (f"tokens: [{{sha256: {A}}}]", "missing key 'tokens.0.name'"),
        (f"tokens: [{{name: 'A b', sha256: {A}}}]", "does not match"),
        ("tokens: [{name: a, sha256: f-secret}]", "'tokens.0.sha256.0': must be the SHA-256"),
        ("tokens: [{name: a, sha256: 12}]", "'tokens.0.sha256': Input should be a valid tuple"),
        ("tokens: [{name: a, sha256: f-secret, x: f-secret}]", "unknown key 'tokens.0.x'"),
        ("tokens: [{name: a, sha256: [f-secret}]", "not YAML: line 1, column"),
        ("tokens: [{name: a, sha256: []}]", "at least 1 item"),
        (f"tokens: [{{name: a, sha256: {A}, rpcs: Encode}}]", "'tokens.0.rpcs': Input should be"),
        (
            f"tokens: [{{name: a, sha256: {A}, rpcs: [Encode]}}]",
            "'tokens.0.rpcs.0': must be SERVICE/METHOD",
        ),
        (
            f"tokens: [{{name: a, sha256: {A}, requests_per_second: 0}}]",
            "requests_per_second': Input should be greater than 0",
        ),
        (f"tokens: [{{name: a, sha256: {A}, burst: 3}}]", "burst of 'a' needs requests_per_second"),
        (
            f"tokens: [{{name: a, sha256: {A}}}, {{name: a, sha256: {B}}}]",
            "name 'a' stands there twice",
        ),
        (
            f"tokens: [{{name: a, sha256: {A}}}, {{name: b, sha256: {A}}}]",
            "sha256 'a+' stands there twice",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"--tokens-file: .*tokens.yaml: .*{problem}") as caught:
        load(written(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "f-secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--tokens-file: .*tokens.yaml: No such file"):
        load(tmp_path / "tokens.yaml")


def test_no_file_means_no_tokens() -> None:
    assert watch_tokens(Settings.model_validate({})) is None


def test_the_command_makes_a_token_and_the_entry_that_lets_it_in(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evenface_server.access", "new-token", "jobs"]
    first, second = (
        subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in "12"
    )
    assert first != second
    token = next(line for line in first.splitlines() if line.startswith("evenface_"))
    assert len(token) > 50
    entry = first[first.index("  - name") :]
    assert load(written(tmp_path, "tokens:\n" + entry))[digest_of(token)].name == "jobs"


def test_the_command_refuses_a_name_that_the_file_would() -> None:
    command = [sys.executable, "-m", "evenface_server.access", "new-token", "Two words"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "'Two words' does not match" in ended.stderr
