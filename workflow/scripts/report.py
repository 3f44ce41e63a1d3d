"""Stage report: the results of all runs as tables, figures, a page and its Markdown twin."""

import argparse
import json
from pathlib import Path

from overfitting import datasets, figures, pages, params, results
from overfitting.console import run_script, start_log
from overfitting.files import write_text


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder with the results of all runs")
    parser.add_argument("examples", type=Path, help="training subset (.npz)")
    parser.add_argument("templates", type=Path, help="folder with the templates")
    parser.add_argument("reports", type=Path, help="folder to write to")
    arguments = parser.parse_args(argv)
    declared = params.declared_by("report")
    models, seeds = declared["compare"], declared["seeds"]
    log = start_log("report")

    for removed in results.remove_other_runs(arguments.results, models, seeds):
        log.info("%s: no longer asked for, removed (DVC's cache keeps it)", removed)
    runs = results.load_runs(arguments.results, models, seeds)
    gaps = results.gap_table(results.runs_table(runs))
    curves = results.curves_table(runs)

    tables = arguments.reports / "tables"
    write_text(tables / "gap.csv", gaps.to_csv(index=False, float_format="%.6f"))
    write_text(
        tables / "curves.csv", results.mean_curves(curves).to_csv(index=False, float_format="%.6f")
    )
    write_text(
        arguments.reports / "metrics.json",
        json.dumps(results.metrics(gaps), indent=2, allow_nan=False) + "\n",
    )

    images, labels = datasets.load_examples(arguments.examples, "images", "labels")
    drawn = {
        "curves": figures.curves(curves),
        "gap": figures.gap_per_epoch(curves),
        "augmentation": figures.augmentation_grid(
            results.seen_in_training(arguments.results, runs)
        ),
        "samples": figures.samples(images, labels),
    }
    paths = {name: arguments.reports / "figures" / f"{name}.svg" for name in drawn}
    for name, figure in drawn.items():
        figures.save(figure, paths[name])

    for page in ("report.md", "report.html"):
        text = pages.render(
            arguments.templates / f"{page}.j2",
            gap_table=pages.gap_table(gaps),
            seeds=seeds,
            parts={part: runs[0][part]["images"] for part in ("train", "validation", "test")},
            figures=paths,
        )
        write_text(arguments.reports / page, text)
    log.info("written to %s", arguments.reports / "report.html")


if __name__ == "__main__":
    run_script(main)
