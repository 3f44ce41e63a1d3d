"""Results in, Markdown out, through a template; and that Markdown as one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import jinja2
import markupsafe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from overfitting.common.errors import UserError

from .tables import markdown_table

SVG = "http://www.w3.org/2000/svg"

ElementTree.register_namespace("", SVG)  # HTML knows <svg>, but not <ns0:svg>
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def render(template: Path, **context: Any) -> str:
    """Fill a Jinja2 template; the same text for the same context.

    What goes into a template called `….html.j2` is escaped. Templates can use the filter
    `markdown_table`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["markdown_table"] = markdown_table
    return environment.get_template(template.name).render(**context)


def page(markdown: str, folder: Path, template: Path) -> str:
    """Convert Markdown (CommonMark with tables) to one HTML page that needs no other file.

    Headings get the ids that GitHub gives them, so that a link to `#slug` works on both. An
    image becomes a figure: the SVG itself with the alternative text as its name, and the same
    text below it for the eye. Tables scroll within the page, the first cell of a row being its
    header. HTML in the Markdown is shown as text. Other links stay as they are.

    Args:
        markdown: the text; its one heading of level 1 is the page's title.
        folder: where the paths of the images, all of them SVG files, start.
        template: the page around it, a Jinja2 template. It gets `title`, `contents` (the
            headings of level 2) and, as HTML, `introduction` (what stands before the first of
            these) and `body` (the rest).

    Raises:
        UserError: a figure is missing or no SVG, an image is not alone in its paragraph, or the
            headings of level 1 are not one.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    headings = _name_headings(tokens)
    titles = [heading for heading in headings if heading.tag == "h1"]
    if len(titles) != 1:
        raise UserError(
            f"the Markdown has {len(titles)} headings of level 1 (#); a page needs one, its title"
        )
    _show_figures(tokens, folder)
    tokens = _accessible_tables(tokens)
    first = next((place for place, token in enumerate(tokens) if token.tag == "h2"), len(tokens))
    introduction, body = (
        # The parser escapes what people wrote; the figures are ours, escaped by matplotlib.
        markupsafe.Markup(parser.renderer.render(part, parser.options, {}))  # noqa: S704
        for part in (tokens[:first], tokens[first:])
    )
    return render(
        template,
        title=titles[0].words,
        contents=[heading for heading in headings if heading.tag == "h2"],
        introduction=introduction,
        body=body,
    )


@dataclass(frozen=True)
class Heading:
    """A heading of a page: `h1` to `h6`, what links to it after `#`, and its words."""

    tag: str
    slug: str
    words: str


def _name_headings(tokens: Sequence[Token]) -> list[Heading]:
    """Give headings the ids that GitHub gives them; a second one alike gets `-1`, and so on."""
    headings: list[Heading] = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            words = _words(inline)
            kept = (letter for letter in words.lower() if letter.isalnum() or letter in " -_")
            plain = slug = "".join(kept).replace(" ", "-")
            number = 0
            while slug in {heading.slug for heading in headings}:
                number += 1
                slug = f"{plain}-{number}"
            opening.attrSet("id", slug)
            headings.append(Heading(opening.tag, slug, words))
    return headings


def _show_figures(tokens: Sequence[Token], folder: Path) -> None:
    """Turn each paragraph that is an image into a figure."""
    number = 0
    for opening, inline, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        kinds = [child.type for child in inline.children or []]
        if "image" not in kinds:
            continue
        if opening.type != "paragraph_open" or opening.hidden or kinds != ["image"]:
            where = " ".join(inline.content.split())
            raise UserError(f"in the Markdown, an image needs a paragraph of its own: {where}")
        [image] = inline.children or []
        number += 1
        alternative = _words(image)
        svg = _inline_svg(
            folder / unquote(str(image.attrs["src"])), f"figure-{number}-", alternative
        )
        opening.tag = closing.tag = "figure"
        inline.children = [
            Token("html_inline", "", 0, content=svg),
            # Who listens has heard these words already, as the figure's name.
            Token("figcaption_open", "figcaption", 1, attrs={"aria-hidden": "true"}),
            Token("text", "", 0, content=alternative),
            Token("figcaption_close", "figcaption", -1),
        ]


def _inline_svg(path: Path, prefix: str, name: str) -> str:
    """Return an SVG file to stand inside an HTML page, with a name that can be read aloud.

    Ids get the prefix, as several figures share a page.
    """
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314  a figure of ours
    except (OSError, ElementTree.ParseError) as error:
        raise UserError(
            f"{path} is missing or corrupt ({error}); the report shows it: run `dvc repro` to "
            "make it again"
        ) from None
    for tag in ("metadata", "title"):
        for element in root.findall(f"{{{SVG}}}{tag}"):
            root.remove(element)
    for element in root.iter():
        for attribute, value in element.items():
            if attribute == "id":
                element.set(attribute, prefix + value)
            elif attribute.endswith("href") and value.startswith("#"):
                element.set(attribute, f"#{prefix}{value[1:]}")
            else:
                element.set(attribute, value.replace("url(#", f"url(#{prefix}"))
    root.set("role", "img")
    root.set("aria-label", name)
    return ElementTree.tostring(root, encoding="unicode")


def _accessible_tables(tokens: Sequence[Token]) -> list[Token]:
    """Say which cells are headers of what, and let each table scroll in a region with a name."""
    result: list[Token] = []
    heading, tables = "", 0  # the words above a table, and how many tables they have below them
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            heading, tables = _words(tokens[place + 1]), 0
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "td_open" and tokens[place - 1].type == "tr_open":
            token.tag = tokens[place + 2].tag = "th"
            token.attrSet("scope", "row")
        elif token.type == "table_open":
            tables += 1
            label = heading if tables == 1 else f"{heading}, table {tables}"
            region = Token("region_open", "div", 1, block=True)
            region.attrs = {"class": "wide", "role": "region", "aria-label": label, "tabindex": "0"}
            result.append(region)
        result.append(token)
        if token.type == "table_close":
            result.append(Token("region_close", "div", -1, block=True))
    return result


def _words(token: Token) -> str:
    """Return what a heading, paragraph or image says, without its markup, on one line."""
    return "".join(
        " " if child.type in {"softbreak", "hardbreak"} else child.content
        for child in token.children or []
    )
