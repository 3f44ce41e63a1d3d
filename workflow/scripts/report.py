"""Stage report: the results of all runs as tables and figures, and as Markdown and HTML pages."""

import overfitting.common.environment  # noqa: F401

# isort: split
import json

from overfitting.analysis import results
from overfitting.common import datasets, params
from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import run_script, start_log
from overfitting.common.files import write_text
from overfitting.data import checksums
from overfitting.report import pages
from overfitting.report.contents import compare, csv_tables
from overfitting.report.context import template_context
from overfitting.report.figures import catalogue, style

CARDS = ["model_card.md", "data_card.md"]


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_input("results", "folder with the results of all runs")
    parser.add_input("train", "training subset (.npz)")
    parser.add_input("test", "test subset (.npz)")
    parser.add_input("corrupted", "the first test images, corrupted (.npz)")
    parser.add_input("checksums", "SHA-256 of each raw file")
    parser.add_input("templates", "folder with the templates")
    parser.add_output("reports", "folder of the report")
    arguments = parser.parse(argv)
    declared = params.stage_params("report")
    log = start_log("report")
    images, labels = datasets.load_examples(arguments.train, "images", "labels")
    [test_images] = datasets.load_examples(arguments.test, "images")
    contents = compare(arguments.results, declared, labels, test_images)
    log.info("%d runs read and compared", len(contents.runs))
    figures = catalogue.figures(
        contents, arguments.results, (images, labels), test_images, arguments.corrupted
    )
    context = template_context(contents, labels, checksums.read_checksums(arguments.checksums))

    # All inputs have been read, so that a corrupt one ends the script before files are changed.
    for removed in results.remove_other_runs(arguments.results, contents.models, contents.seeds):
        log.info("%s removed: not among compare and seeds (DVC's cache keeps it)", removed)
    for name, table in csv_tables(contents).items():
        text = table.to_csv(index=False, float_format="%.6f")
        write_text(arguments.reports / "tables" / f"{name}.csv", text)
    metrics = json.dumps(results.metrics(contents.gaps), indent=2, allow_nan=False)
    write_text(arguments.reports / "metrics.json", metrics + "\n")
    for name, draw in figures.items():
        style.save(draw(), arguments.reports / "figures" / f"{name}.svg")
        log.info("figure %s drawn", name)

    for card in CARDS:
        text = pages.render(arguments.templates / f"{card}.j2", **context)
        write_text(arguments.reports / card, text)
    markdown = pages.render(arguments.templates / "report.md.j2", **context)
    write_text(arguments.reports / "report.md", markdown)
    page = pages.html_page(markdown, arguments.reports, arguments.templates / "page.html.j2")
    write_text(arguments.reports / "report.html", page)
    log.info("written to %s", arguments.reports / "report.html")


if __name__ == "__main__":
    run_script(main)
