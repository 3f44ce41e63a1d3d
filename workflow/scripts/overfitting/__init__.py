"""What the scripts share: pure functions that know neither Snakemake nor DVC.

The rooms, in the order in which the data walk through them: `params`, `checksums`, `sources`,
`idx`, `datasets`, `corruptions`, `determinism`, `networks`, `training`, `inference`, `measures`,
`robustness`, `statistics`, `results`, `predictions`, `claims`, `tables`, `figures` (with
`picture_figures`, `prediction_figures` and `robustness_figures`), `pages`, `review`. Beside them
stand `errors`, `arguments` (what a script reads and writes), `files` (writing whole or not at
all) and `console` (talking to people).

Between the two engines stand `pipeline` (what Snakemake asks DVC) and `one_stage` (DVC for one
stage among many), the only two that import DVC, with `plan` (what Snakemake keeps of the answer),
`lockfile` (dvc.lock as text), `before_dvc` (what DVC does not see to itself) and `one_run` (at a
time).
"""
