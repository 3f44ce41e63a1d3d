"""The HTML page has the content of its Markdown, is accessible and is self-contained."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.project import ROOT

from overfitting.common.errors import UserError
from overfitting.report import pages, tables
from overfitting.report.tables import Table

TEMPLATE = ROOT / "workflow" / "templates" / "page.html.j2"
FIGURE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
     width="72pt" height="36pt" viewBox="0 0 72 36">
 <title>drawn by a program</title>
 <metadata>made by a program</metadata>
 <defs><path id="dot" d="M 0 0 L 9 9"/><clipPath id="box"><path d="M 0 0"/></clipPath></defs>
 <use xlink:href="#dot" x="1"/>
 <g clip-path="url(#box)" style="fill: #ff0000; clip-path: url(#box)"/>
</svg>
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A report folder with two figures that use the same ids."""
    (tmp_path / "figures").mkdir()
    for name in ("one.svg", "another one.svg"):
        (tmp_path / "figures" / name).write_text(FIGURE)
    return tmp_path


def page_of(body: str, folder: Path) -> str:
    return pages.html_page(f"# Title\n\n{body}\n", folder, TEMPLATE)


def elements(html: str, tag: str) -> list[ElementTree.Element]:
    """All elements of a page with a tag; our pages can be read by an XML parser."""
    content = html[html.index("<body>") : html.index("</html>")]
    found = ElementTree.fromstring(content).iter()
    return [element for element in found if element.tag.rpartition("}")[2] == tag]


def text_of(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_headings_are_in_order_with_the_ids_that_github_uses(folder: Path) -> None:
    body = """## What it's about: 95 % & `code_here`\n\n### Über – *dashes*\n\n## Twice\n
## Twice\n\n## Twice-1\n\n## Twice\n\nTwo\nlines\n-----\n"""
    html = page_of(body, folder)
    ids = {
        level: [(heading.get("id"), text_of(heading)) for heading in elements(html, level)]
        for level in ("h1", "h2", "h3")
    }
    assert ids == {
        "h1": [("title", "Title")],
        "h2": [
            ("what-its-about-95---code_here", "What it's about: 95 % & code_here"),
            ("twice", "Twice"),
            ("twice-1", "Twice"),
            ("twice-1-1", "Twice-1"),
            ("twice-2", "Twice"),
            ("twolines", "Two lines"),
        ],
        "h3": [("über--dashes", "Über – dashes")],
    }
    [contents] = elements(html, "nav")
    links = [(str(link.get("href"))[1:], text_of(link)) for link in contents.iter("a")]
    assert links == ids["h2"]
    assert "<title>Title</title>" in html


def test_the_header_is_everything_before_the_first_section(folder: Path) -> None:
    html = page_of("The basis.\n\n## Section\n\nThe rest.", folder)
    [header], [main] = elements(html, "header"), elements(html, "main")
    assert (text_of(header), text_of(main)) == ("Title The basis.", "Section The rest.")
    [skip] = [link for link in elements(html, "a") if link.get("class") == "skip"]
    assert skip.get("href") == f"#{main.get('id')}"
    assert text_of(elements(page_of("No sections.", folder), "header")[0]) == "Title No sections."


@pytest.mark.parametrize("markdown", ["No title", "# One\n\n# Two"])
def test_a_page_has_one_title(folder: Path, markdown: str) -> None:
    with pytest.raises(UserError, match=r"[02] headings of level 1"):
        pages.html_page(markdown, folder, TEMPLATE)


def test_a_figure_is_the_svg_with_its_alternative_text(folder: Path) -> None:
    html = page_of('![Loss < 1 & "falling", `x`](figures/one.svg)', folder)
    text = 'Loss < 1 & "falling", x'
    [figure] = elements(html, "figure")
    svg, caption = figure
    assert (svg.get("role"), svg.get("aria-label")) == ("img", text)
    assert (caption.tag, text_of(caption), caption.get("aria-hidden")) == (
        "figcaption",
        text,
        "true",
    )
    assert svg.get("viewBox") == "0 0 72 36"
    for left_out in ("<?xml", "<!DOCTYPE svg", "by a program", "<img", "ns0:"):
        assert left_out not in html
    assert not [paragraph for paragraph in elements(html, "p") if paragraph.find("figure")]


def test_ids_are_unique_and_references_follow_them(folder: Path) -> None:
    shown = ["figures/one.svg", "figures/another%20one.svg", "figures/one.svg"]
    html = page_of("## dot\n\n" + "\n\n".join(f"![figure]({path})" for path in shown), folder)
    [body] = elements(html, "body")
    ids = [element.get("id") for element in body.iter() if element.get("id")]
    assert (
        len(ids) == len(set(ids)) == 2 * len(shown) + 3
    )  # plus the ids of title, heading and main
    for svg in elements(html, "svg"):
        inside = {element.get("id") for element in svg.iter()}
        [use] = svg.iter(f"{{{pages.SVG}}}use")
        [group] = svg.iter(f"{{{pages.SVG}}}g")
        assert str(use.get("{http://www.w3.org/1999/xlink}href")).removeprefix("#") in inside
        clip = str(group.get("clip-path"))
        assert clip.removeprefix("url(#").removesuffix(")") in inside
        assert group.get("style") == f"fill: #ff0000; clip-path: {clip}"


@pytest.mark.parametrize("source", ["figures/gone.svg", "http://example.com/one.svg"])
def test_the_error_names_a_missing_figure(folder: Path, source: str) -> None:
    with pytest.raises(UserError, match=rf"{Path(source).name} is missing or corrupt"):
        page_of(f"![alt]({source})", folder)


def test_the_error_names_a_corrupt_figure(folder: Path) -> None:
    (folder / "figures" / "one.svg").write_text(FIGURE[:300])
    with pytest.raises(UserError, match=r"one\.svg is missing or corrupt"):
        page_of("![alt](figures/one.svg)", folder)


@pytest.mark.parametrize(
    "around",
    ["See {}", "{} {}", "{}\n{}", "- {}", "[{}](report.md)", "## {}", "| a |\n|---|\n| {} |"],
)
def test_an_image_that_is_not_alone_in_its_paragraph_is_rejected(folder: Path, around: str) -> None:
    image = "![alt](figures/one.svg)"
    with pytest.raises(UserError, match=r"paragraph of its own: .*!\[alt\]\(figures/one\.svg\)"):
        page_of(around.format(image, image), folder)


TABLE = Table(header=["model", "a|b"], rows=[["<b>m</b>", "1 & 2"], [r"x|y", "3"]])


def test_a_table_in_markdown() -> None:
    assert tables.markdown_table(TABLE) == (
        "| model | a\\|b |\n|---|---:|\n| <b>m</b> | 1 & 2 |\n| x\\|y | 3 |"
    )


def test_a_table_without_rows_is_a_table(folder: Path) -> None:
    html = page_of(tables.markdown_table(Table(header=["a", "b"], rows=[])), folder)
    assert [text_of(cell) for cell in elements(html, "th")] == ["a", "b"]


@pytest.mark.parametrize(
    ("column", "alignment"),
    [
        (["0.957", "1,234", "15.0 (15.0)"], "---:"),
        (["+0.062 to +0.090", "−0.041", "–"], "---:"),  # the last one is unknown
        (["3.15.1", "as it comes"], "---"),
        (["holds", "undecided"], "---"),
    ],
)
def test_only_numbers_are_aligned_right(column: list[str], alignment: str) -> None:
    table = Table(header=["#", "column"], rows=[["1", cell] for cell in column])
    assert tables.markdown_table(table).splitlines()[1] == f"|---|{alignment}|"


def test_a_template_can_use_a_table(tmp_path: Path) -> None:
    (tmp_path / "small.md.j2").write_text("{{ table | markdown_table }}\n")
    rendered = pages.render(tmp_path / "small.md.j2", table=TABLE)
    assert rendered == tables.markdown_table(TABLE) + "\n"


def test_headers_of_a_table_have_a_scope(folder: Path) -> None:
    html = page_of(f"## Gaps & more\n\n{tables.markdown_table(TABLE)}", folder)
    cells = [
        (cell.tag, cell.get("scope"), text_of(cell), cell.get("style"))
        for row in elements(html, "tr")
        for cell in row
    ]
    right = "text-align:right"
    assert cells == [
        ("th", "col", "model", None),
        ("th", "col", "a|b", right),
        ("th", "row", "<b>m</b>", None),
        ("td", None, "1 & 2", right),
        ("th", "row", "x|y", None),
        ("td", None, "3", right),
    ]


def test_each_table_scrolls_in_a_region_with_its_own_name(folder: Path) -> None:
    table = tables.markdown_table(TABLE)
    html = page_of(f"## Gaps\n\n{table}\n\nText\n\n{table}\n\n### *More*\n\n{table}", folder)
    regions = [element for element in elements(html, "div") if element.get("role") == "region"]
    names = [region.get("aria-label") for region in regions]
    assert names == ["Gaps", "Gaps, table 2", "More"]
    assert [[child.tag for child in region] for region in regions] == [["table"]] * 3
    assert {region.get("tabindex") for region in regions} == {"0"}


def test_html_and_scripts_in_markdown_are_shown_as_text(folder: Path) -> None:
    given = "<script>alert(1)</script> a < b & c <b>d</b> &amp; [e](javascript:alert(1))"
    html = page_of(f"{given}\n\n<div>\n\n## <i>f</i>", folder)
    shown = given.replace("&amp;", "&")
    assert [text_of(paragraph) for paragraph in elements(html, "p")] == [shown, "<div>"]
    assert [text_of(link) for link in elements(html, "a")] == ["Skip to the text", "<i>f</i>"]
    assert not elements(html, "script") + elements(html, "b") + elements(html, "i")


def test_links_are_not_changed(folder: Path) -> None:
    targets = ["tables/gap.csv", "#title", "https://example.com/a?b=1&c=2"]
    html = page_of(" ".join(f"[link]({target})" for target in targets), folder)
    [links] = [list(paragraph) for paragraph in elements(html, "p")]
    assert [link.get("href") for link in links] == targets


def test_the_page_is_self_contained_and_deterministic(folder: Path) -> None:
    body = f"![alt](figures/one.svg)\n\n## Gaps\n\n{tables.markdown_table(TABLE)}"
    html = page_of(body, folder)
    assert page_of(body, folder) == html
    for outside in (" src=", "<link", "@import", "<script", "url(http"):
        assert outside not in html
