"""What the project promises of itself: dependencies, constraints, pages, commands."""

import json
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from evenface_server.settings import Settings, default_of, option_of

ROOT = Path(__file__).parents[2]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]  # type: ignore[no-any-return]


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name.lower().replace("_", "-"): version for name, version in pinned}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;]", requirement)[0].lower() for requirement in requirements}


def test_the_gpu_extra_is_the_server_s_with_the_cuda_build_of_onnx_runtime() -> None:
    extras = project()["optional-dependencies"]
    cpu, gpu = "onnxruntime>=1.20", "onnxruntime-gpu[cuda,cudnn]>=1.21"
    assert set(extras["gpu"]) == {gpu if line == cpu else line for line in extras["server"]}


def test_every_dependency_has_an_exact_version() -> None:
    extras = project()["optional-dependencies"]
    wanted = names(project()["dependencies"]).union(*(names(lines) for lines in extras.values()))
    assert wanted - {"evenface"} <= set(constraints())


def test_torch_is_pinned_without_a_build_tag() -> None:
    assert constraints()["torch"] == "2.13.0"


def test_the_packages_of_the_wheel_are_typed_and_exist() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    for package in build["targets"]["wheel"]["packages"]:
        assert (ROOT / package / "py.typed").exists(), package


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")]
    assert len(pages) > 3
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_targets_named_in_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")]:
        for target in re.findall(
            r"\bmake ([a-z]+(?:-[a-z]+)*)\b", " ".join(re.findall(r"`+[^`]*`+", page.read_text()))
        ):
            assert target in targets, f"{page.name}: make {target}"


def test_the_list_of_licences_has_every_pinned_package_in_its_version() -> None:
    page = (ROOT / "docs" / "licences.md").read_text()
    rows = re.findall(r"^\| (\S+) \| (\d\S*) \| (\S.*) \|$", page, re.MULTILINE)
    assert {name.lower().replace("_", "-"): version for name, version, _ in rows} == constraints()


def test_the_threat_model_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text()
    named = re.findall(r"`((?:\w+/)+\w+\.\w+)`", page)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_threat_model_tells_the_real_defaults() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text()
    words = {"none": "not set", "true": "on", "false": "off"}
    real = {option_of(n): default_of(f) for n, f in Settings.model_fields.items()}
    told = re.findall(r"`(--[a-z-]+)` \(([^)]+)\)", page)
    assert len(told) > 20
    for option, value in told:
        number, _, unit = value.partition(" ")
        if unit == "MiB":
            number = str(int(number) * 2**20)
        elif unit == "s":
            number = str(float(number))
        as_told = number if unit in ("MiB", "s") else value
        assert as_told == words.get(real[option], real[option]), option


def test_source_files_stay_within_350_lines() -> None:
    packages = (
        "core",
        "training",
        "export",
        "server",
        "clients/python",
        "clients/studio",
        "demo",
        "benchmarks",
        "tools",
    )
    long = {
        str(path.relative_to(ROOT)): count
        for package in packages
        for path in (ROOT / package).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 350
    }
    assert long == {}


def test_all_parts_have_the_version_of_the_newest_release_in_the_changelog() -> None:
    titles = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
    newest, day = titles[1].split(" - ")
    assert date.fromisoformat(day).isoformat() == day
    chart = yaml.safe_load((ROOT / "helm" / "evenface" / "Chart.yaml").read_text())
    node = json.loads((ROOT / "clients" / "node" / "package.json").read_text())
    versions = {
        "pyproject.toml": project()["version"],
        "Chart.yaml version": chart["version"],
        "Chart.yaml appVersion": chart["appVersion"],
        "package.json": node["version"],
    }
    assert versions == dict.fromkeys(versions, newest)


def test_releases_in_the_changelog_go_back_in_time() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    found = re.findall(r"^## (\d+)\.(\d+)\.(\d+) - (\S+)$", text, re.MULTILINE)
    versions = [tuple(map(int, one[:3])) for one in found]
    days = [one[3] for one in found]
    assert versions == sorted(set(versions), reverse=True)
    assert days == sorted(days, reverse=True)


def test_nothing_stands_in_the_changelog_twice() -> None:
    lines = [
        " ".join(entry.split())
        for entry in re.split(r"^- ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    ]
    assert len(lines) == len(set(lines))
