"""The HTML report in a browser: self-contained, responsive, accessible and printable."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)
from support.project import ROOT

from overfitting.report import pages

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
REPORTS = ROOT / "reports"
WIDTHS = [360, 768, 1280]  # pixels: a phone, a tablet, a laptop
SCHEMES = {"light": (0.9, 1.0), "dark": (0.0, 0.1)}  # luminance of the background
A4: ViewportSize = {"width": 794, "height": 1123}  # pixels, at 96 an inch
MIN_CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3
MARKDOWN = """# A page made by the test

Trained on few images, see [the numbers](#numbers--a-table) and [a file](tables/gap.csv).

## Numbers & a table

| model | accuracy | gap | interval of the gap | what was claimed of it | another column |
|---|---:|---:|---:|---|---:|
| baseline | 0.957 | +0.076 | +0.062 to +0.090 | it overfits, as every network does | 1,234,567 |
| regularized | 0.859 | +0.015 | +0.004 to +0.025 | it overfits less | 7 |

1. One thing, *with* **emphasis** and `code`.

> Another.

### Code

```
python -c "a line that is wider than a telephone's screen and has to scroll in its own box, not it"
```

## Figures
"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium or Chrome on the PATH: install it, say by `apt-get install chromium`",
)


@dataclass(frozen=True)
class Visit:
    """A page in the browser, with the URLs it requested and its console errors and warnings."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM) as browser,
    ):
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[[Path], Visit]]:
    """Return a function that opens a file in a browser without network access."""
    context = browser.new_context(offline=True)

    def open_file(path: Path) -> Visit:
        opened = Visit(context.new_page())

        def listen(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                opened.errors.append(message.text)

        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", listen)
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.goto(path.as_uri())
        return opened

    yield open_file
    context.close()


@pytest.fixture(params=["the committed report", "a generated page"])
def shown(request: pytest.FixtureRequest, visit: Callable[[Path], Visit], tmp_path: Path) -> Visit:
    """A page that has to pass every check; the generated one has every committed figure."""
    if request.param == "the committed report":
        return visit(REPORTS / "report.html")
    names = sorted(path.relative_to(REPORTS).as_posix() for path in REPORTS.rglob("*.svg"))
    markdown = MARKDOWN + "".join(f"\n![What {name} shows]({name})\n" for name in names)
    template = ROOT / "workflow" / "templates" / "page.html.j2"
    (tmp_path / "report.html").write_text(
        pages.html_page(markdown, REPORTS, template), encoding="utf-8"
    )
    return visit(tmp_path / "report.html")


# Checks of a page


def assert_is_self_contained(shown: Visit) -> None:
    assert shown.requests == [shown.page.url]
    assert shown.errors == []


def assert_does_not_scroll_sideways(shown: Visit) -> None:
    content, screen = shown.page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert content <= screen


def assert_figures_are_visible(shown: Visit) -> None:
    """Each figure fits the screen, and what it shows is visible, or scrolls within it."""
    figures = shown.page.locator("figure:has(svg)").all()
    assert figures
    width = shown.page.evaluate("document.documentElement.clientWidth")
    for figure in figures:
        box, drawn = figure.bounding_box(), figure.locator("svg").bounding_box()
        assert box is not None
        assert drawn is not None
        assert drawn["width"] > 0
        assert drawn["height"] > 0
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        if drawn["x"] + drawn["width"] > width:
            overflow = figure.evaluate("element => getComputedStyle(element).overflowX")
            assert (overflow, figure.get_attribute("tabindex")) == ("auto", "0")


def assert_figures_can_be_read(shown: Visit) -> None:
    """A point of a figure, whose smallest text has 9, is at least a pixel."""
    pixels_per_point = shown.page.locator("figure svg").evaluate_all(
        "all => all.map(svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)"
    )
    assert min(pixels_per_point) > 0.99


def assert_links_lead_to_headings(shown: Visit) -> None:
    contents = shown.page.locator("nav a").all()
    assert contents
    links = shown.page.locator("nav a, header a[href^='#'], main a[href^='#']").all()
    for link in links:
        target = shown.page.locator(f'[id="{unquote(link.get_attribute("href") or "")[1:]}"]')
        assert target.count() == 1, link.get_attribute("href")
        assert re.fullmatch(r"H[1-6]", target.evaluate("element => element.tagName"))
        link.click()
        expect(target).to_be_in_viewport()


def assert_headings_are_in_order(shown: Visit) -> None:
    headings = shown.page.locator("h1, h2, h3, h4, h5, h6")
    levels = headings.evaluate_all("all => all.map(heading => Number(heading.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    for above, below in pairwise(levels):
        assert below <= above + 1, levels


def assert_pictures_have_names(shown: Visit) -> None:
    named = shown.page.get_by_role("img", name=re.compile(r"\w{3}"))
    found = shown.page.locator("svg[role=img]").and_(named).count()
    assert found == shown.page.locator("svg").count()


def assert_tables_have_headers(shown: Visit) -> None:
    assert shown.page.locator("table:not(:has(th))").count() == 0
    assert shown.page.locator("th:not([scope])").count() == 0


def assert_text_has_contrast(shown: Visit) -> None:
    for words, color, background in texts(shown):
        assert contrast(color, background) >= MIN_CONTRAST, f"{words}: {color} on {background}"


def texts(shown: Visit) -> list[tuple[str, str, str]]:
    """Return the tag and text, the color and the background color of each element with text."""
    return shown.page.evaluate(
        """() => [...document.body.querySelectorAll("*:not(svg, svg *, script, style)")]
          .filter(element => [...element.childNodes].some(
            node => node.nodeType === Node.TEXT_NODE && node.data.trim()))
          .map(element => {
            const background = of => getComputedStyle(of).backgroundColor;
            let behind = element;
            while (background(behind) === "rgba(0, 0, 0, 0)" && behind.parentElement)
              behind = behind.parentElement;
            const words = `${element.localName} ${element.textContent.trim()}`;
            return [words, getComputedStyle(element).color, background(behind)];
          })"""
    )


def luminance(color: str) -> float:
    """Return the relative luminance of `rgb(r, g, b)`, 0 to 1, as WCAG 2.2 defines it."""
    match = re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", color)
    assert match, f"{color} is not opaque"
    parts = [int(part) / 255 for part in match.groups()]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colors, 1 to 21, as WCAG 2.2 defines it."""
    darker, lighter = sorted([luminance(first), luminance(second)])
    return (lighter + 0.05) / (darker + 0.05)


# Tests of the checks


def test_contrast_matches_published_values() -> None:
    white = "rgb(255, 255, 255)"
    assert contrast("rgb(0, 0, 0)", white) == pytest.approx(21)
    assert contrast(white, "rgb(118, 118, 118)") == pytest.approx(4.54, abs=0.005)
    assert contrast(white, "rgb(119, 119, 119)") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        (assert_is_self_contained, '<img src="http://example.com/picture.png" alt="from outside">'),
        (assert_is_self_contained, "<script>console.warn('something is wrong')</script>"),
        (assert_is_self_contained, "<script>missing()</script>"),
        (assert_does_not_scroll_sideways, '<div style="width: 2000px">wide</div>'),
        (assert_figures_are_visible, "<figure><svg width='2000' height='9'></svg></figure>"),
        (assert_figures_are_visible, "<figure><svg width='0' height='9'></svg></figure>"),
        (assert_figures_are_visible, "<figure hidden><svg></svg></figure>"),
        (assert_figures_can_be_read, "<figure><svg viewBox='0 0 900 9' width='90'></svg></figure>"),
        (assert_links_lead_to_headings, "<nav><a href='#gone'>Gone</a></nav>"),
        (assert_links_lead_to_headings, "<nav><a href='#p'>Text</a></nav><p id='p'>Text</p>"),
        (assert_headings_are_in_order, "<h1>One</h1><h3>Three</h3>"),
        (assert_headings_are_in_order, "<h1>One</h1><h1>Another</h1>"),
        (assert_pictures_have_names, "<svg role='img'></svg>"),
        (assert_pictures_have_names, "<svg aria-label='curves'></svg>"),
        (assert_tables_have_headers, "<table><tr><td>1</td></tr></table>"),
        (assert_text_has_contrast, "<p style='color: #777; background: #fff'>Grey</p>"),
        (assert_text_has_contrast, "<p>No background</p>"),
    ],
)
def test_a_fault_is_detected(
    check: Callable[[Visit], None], fault: str, visit: Callable[[Path], Visit], tmp_path: Path
) -> None:
    path = tmp_path / "broken.html"
    path.write_text(f"<!DOCTYPE html><html lang='en'><title>Broken</title><body>{fault}</body>")
    with pytest.raises(AssertionError):
        check(visit(path))


# Tests of the pages


def test_there_are_no_requests_and_no_errors(shown: Visit) -> None:
    for width in WIDTHS:
        shown.page.set_viewport_size({"width": width, "height": 800})
    assert_is_self_contained(shown)


@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_readable_on_every_screen(shown: Visit, width: int) -> None:
    shown.page.set_viewport_size({"width": width, "height": 800})
    assert_does_not_scroll_sideways(shown)
    assert_figures_are_visible(shown)
    assert_figures_can_be_read(shown)
    assert_links_lead_to_headings(shown)


def test_it_is_accessible_to_screen_readers(shown: Visit) -> None:
    assert shown.page.locator("html").get_attribute("lang") == "en"
    for landmark in ("banner", "navigation", "main"):
        expect(shown.page.get_by_role(landmark)).to_have_count(1)
    assert_headings_are_in_order(shown)
    assert_pictures_have_names(shown)
    assert_tables_have_headers(shown)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_has_contrast_in_light_and_dark_mode(
    shown: Visit, scheme: Literal["light", "dark"]
) -> None:
    shown.page.emulate_media(color_scheme=scheme)
    background = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
    darkest, lightest = SCHEMES[scheme]
    assert darkest <= luminance(background) <= lightest
    kinds = {words.split()[0] for words, _, _ in texts(shown)}
    assert kinds >= {"h1", "h2", "p", "a", "th", "td", "figcaption"}
    assert_text_has_contrast(shown)


def test_it_can_be_printed(shown: Visit) -> None:
    assert len(re.findall(rb"/Type\s*/Page\b", shown.page.pdf())) > 1
    expect(shown.page.locator("nav")).to_be_visible()
    shown.page.emulate_media(media="print")
    expect(shown.page.locator("nav")).to_be_hidden()
    shown.page.set_viewport_size(A4)
    heights = shown.page.locator("figure svg").evaluate_all(
        "all => all.map(svg => svg.getBoundingClientRect().height)"
    )
    assert max(heights) < A4["height"] / 2  # else a figure could leave a page half empty
