"""The README and docs/reliability.md agree with the current code and results."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import ruamel.yaml
from support.project import ROOT

from overfitting.report import tables

README = (ROOT / "README.md").read_text(encoding="utf-8")
PARAMS = ruamel.yaml.YAML(typ="safe").load(ROOT / "params.yaml")


def rows_of(text: str, start: str) -> list[list[str]]:
    """Return the header and rows of the first Markdown table whose header begins with `start`."""
    table = text[text.index(f"| {start} |") :].split("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()]
    return [[cell.strip() for cell in row] for row in [rows[0], *rows[2:]]]


def table_rows(start: str) -> list[list[str]]:
    return rows_of(README, start)


def test_results_match_the_committed_report() -> None:
    header, *rows = table_rows("model")
    table = tables.gap_table(pd.read_csv(ROOT / "reports" / "tables" / "gap.csv"))
    columns = [table.header.index(name) for name in header]
    assert rows == [[row[column] for column in columns] for row in table.rows]


def test_verdicts_match_the_committed_study() -> None:
    header, *rows = table_rows("claim")
    report = (ROOT / "studies" / "claims" / "reports" / "report.md").read_text(encoding="utf-8")
    reported, *expected = rows_of(report, "claim")
    columns = [reported.index(name) for name in header]
    assert rows == [[row[column] for column in columns] for row in expected]
    assert header[-1] == "verdict"
    numbers = [re.match(r"\d+", row[0]) for row in rows]
    assert {int(number[0]) for number in numbers if number} == set(range(1, 14))
    assert "not measured" not in {row[-1] for row in rows}


def test_what_surprised_is_what_the_report_says() -> None:
    report = (ROOT / "reports" / "report.md").read_text(encoding="utf-8")
    paragraph = README[README.index("What surprised us") :].split("\n\n")[0]
    numbers = re.findall(r"[+−][\d.]+\d", paragraph)
    assert len(numbers) >= 4
    for number in numbers:
        assert f"{number} " in report, number
    assert "it underfits" in paragraph
    assert "it underfits." in report


def test_the_citation_has_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = ruamel.yaml.YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert f"## {citation['version']} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_sizes_match_params() -> None:
    sizes = f"{PARAMS['data']['train_size']:,} training images, the last "
    sizes += f"{100 * PARAMS['training']['validation_split']:.0f}% of them held out; "
    sizes += f"{PARAMS['data']['test_size']:,} test images; {len(PARAMS['seeds'])} seeds; "
    assert f"{sizes}{PARAMS['training']['epochs']} epochs." in README
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"]
    ready = len(PARAMS["models"]) - len(PARAMS["compare"])
    assert f"{words[ready]} more stand ready" in README


def test_each_promise_names_existing_tests() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    paths = list((ROOT / "tests").rglob("*.py"))
    code = "".join(path.read_text(encoding="utf-8") for path in paths)
    files = {path.name for path in paths}
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        names = re.findall(r"`(?:tests/(?:\w+/)*)?((?:test_|soak)\w+(?:\.py)?)`", row.split("|")[3])
        assert names, row
        for name in names:
            assert name in files or f"def {name}(" in code, name


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_commands_and_params_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"`make ([a-z]+)`", text):
        assert re.search(rf"^[a-z ]*\b{command}\b[a-z ]*:", makefile, flags=re.M), command
    for key in re.findall(r"`((?:data|models|training)\.[a-z_.]+)`", text):
        content = PARAMS
        for part in key.split("."):
            content = content[part]


def test_every_page_is_linked_from_the_readme() -> None:
    for page in PAGES[1:]:
        assert f"(docs/{page.name})" in README, page


def test_the_graph_in_the_docs_is_that_of_dvc_yaml() -> None:
    """As `dvc_bridge graph` prints it where nothing is stale."""
    command = [sys.executable, "workflow/scripts/dvc_bridge", "graph"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    graph = re.sub(r"<br/>stale|, \d+ stale|:::stale|\n    classDef.*", "", printed)
    text = (ROOT / "docs" / "any-dvc-yaml.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{graph.strip()}\n```" in text
