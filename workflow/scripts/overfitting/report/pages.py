"""Renders the report as Markdown from a template, and converts the Markdown to one HTML page."""

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
from mdit_py_plugins.anchors import anchors_plugin

from overfitting.common.errors import UserError

from .tables import markdown_table

SVG = "http://www.w3.org/2000/svg"

ElementTree.register_namespace("", SVG)  # HTML has <svg>, but not <ns0:svg>
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def render(template: Path, **context: Any) -> str:
    """Return a rendered Jinja2 template.

    Values are escaped in templates whose name ends in `.html.j2`. Templates can use the filter
    `markdown_table`.

    Raises:
        jinja2.TemplateError: the template is missing, has a syntax error or uses an undefined name.
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


def html_page(markdown: str, folder: Path, template: Path) -> str:
    """Convert Markdown (CommonMark with tables) to one self-contained HTML page.

    Headings get the same ids as on GitHub, so that a link to `#slug` works in both places. An
    image becomes a figure: the inline SVG, with the alternative text as its accessible name and as
    its visible caption. Tables scroll within the page; the first cell of each row is its header.
    HTML in the Markdown is shown as text. Links are not changed.

    Args:
        markdown: the text; its only heading of level 1 is the title of the page.
        folder: the folder that the paths of the images, all of them SVG files, are relative to.
        template: the Jinja2 template of the page. It gets `title`, `contents` (the headings of
            level 2) and, as HTML, `introduction` (everything before the first of these headings)
            and `body` (the rest).

    Raises:
        UserError: a figure is missing or not an SVG file, an image is not alone in its paragraph,
            or there is not exactly one heading of level 1.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.use(anchors_plugin, max_level=6)
    tokens = parser.parse(markdown)
    headings = [
        Heading(opening.tag, str(opening.attrs["id"]), _plain_text(inline))
        for opening, inline in pairwise(tokens)
        if opening.type == "heading_open"
    ]
    titles = [heading for heading in headings if heading.tag == "h1"]
    if len(titles) != 1:
        raise UserError(
            f"the Markdown has {len(titles)} headings of level 1 (#); expected one, the title"
        )
    _embed_figures(tokens, folder)
    tokens = _make_tables_accessible(tokens)
    first = next((index for index, token in enumerate(tokens) if token.tag == "h2"), len(tokens))
    introduction, body = (
        # The parser has escaped all text, and matplotlib the text in the figures.
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
    """A heading of a page."""

    tag: str
    """`h1` to `h6`."""
    slug: str
    """Its id, which a link gives after `#`."""
    words: str
    """Its text, without markup."""


def _embed_figures(tokens: Sequence[Token], folder: Path) -> None:
    """Replace each paragraph that consists of an image with a figure."""
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
        alternative = _plain_text(image)
        svg = _inline_svg(
            folder / unquote(str(image.attrs["src"])), f"figure-{number}-", alternative
        )
        opening.tag = closing.tag = "figure"
        opening.attrs["tabindex"] = "0"  # on a phone it scrolls, also by keyboard
        inline.children = [
            Token("html_inline", "", 0, content=svg),
            # Hidden from screen readers, which have already read it as the name of the figure.
            Token("figcaption_open", "figcaption", 1, attrs={"aria-hidden": "true"}),
            Token("text", "", 0, content=alternative),
            Token("figcaption_close", "figcaption", -1),
        ]


def _inline_svg(path: Path, prefix: str, name: str) -> str:
    """Return an SVG file as an element for an HTML page, with an accessible name.

    Ids get the prefix, so that they are unique among all figures of the page.
    """
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314  the stage wrote it
    except (OSError, ElementTree.ParseError) as error:
        raise UserError(
            f"{path} is missing or corrupt ({error}); it is a figure of the report: run "
            "`dvc repro` to create it again"
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
    # In a figure, 9 points are the smallest text: not less than 9 pixels, on any screen.
    root.set("style", f"min-width: {float(root.attrib['width'].removesuffix('pt')):.0f}px")
    root.set("role", "img")
    root.set("aria-label", name)
    return ElementTree.tostring(root, encoding="unicode")


def _make_tables_accessible(tokens: Sequence[Token]) -> list[Token]:
    """Mark header cells, and wrap each table in a scrollable region with an accessible name."""
    result: list[Token] = []
    heading, tables = "", 0  # the last heading, and the number of tables below it so far
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading, tables = _plain_text(tokens[index + 1]), 0
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "td_open" and tokens[index - 1].type == "tr_open":
            token.tag = tokens[index + 2].tag = "th"
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


def _plain_text(token: Token) -> str:
    """Return the text of a heading, paragraph or image without markup, on one line."""
    return "".join(
        " " if child.type in {"softbreak", "hardbreak"} else child.content
        for child in token.children or []
    )
