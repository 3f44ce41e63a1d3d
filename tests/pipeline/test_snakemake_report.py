"""Snakemake's own report and DVC's plots, through the commands that users type."""

import json
import zipfile
from pathlib import Path

from support.project import Project


def test_snakemakes_report_has_categories_and_captions(project: Project) -> None:
    unreachable = "http://127.0.0.1:9"  # any request to the network would fail
    project.run(
        "snakemake", "--report", "stages.zip", HTTP_PROXY=unreachable, HTTPS_PROXY=unreachable
    )
    with zipfile.ZipFile(project.folder / "stages.zip") as archive:
        [page] = [name for name in archive.namelist() if name.endswith("report.html")][-1:]
        text = archive.read(page).decode()
    for category in ("Gap", "Curves", "Claims", "Shift", "Calibration", "Errors"):
        assert category in text
    assert "(the running-average part)" in text
    commit = project.git("rev-parse", "--short", "HEAD").strip()
    assert f"made from commit {commit}" in text
    assert "train/regularized-0" in text


def test_dvc_plots_show_curves_reliability_and_confusion(project: Project) -> None:
    output = project.run("dvc", "plots", "show", "--json").stdout
    shown = json.loads(output[output.index("{") :])
    titles = [plot[0]["content"]["title"]["text"] for plot in shown["data"].values()]
    for start in ("Accuracy per epoch", "Loss per epoch", "Accuracy against", "Test images by"):
        assert any(title.startswith(start) for title in titles), titles
    assert project.run("dvc", "plots", "show").returncode == 0
    assert Path(project.folder, "dvc_plots", "index.html").exists()
