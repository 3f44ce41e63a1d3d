"""What the scripts share: pure functions that know neither Snakemake nor DVC.

The rooms, in the order in which the data walk through them: `params`, `checksums`, `sources`,
`idx`, `datasets`, `corruptions`, `determinism`, `networks`, `training`, `inference`, `measures`,
`robustness`, `statistics`, `results`, `predictions`, `claims`, `tables`, `figures` (with
`picture_figures`, `prediction_figures` and `robustness_figures`), `pages`, `review`. Beside them
stand `errors`, `arguments` (what a script reads and writes), `files` (writing whole or not at
all), `console` (talking to people) and `check_environment` (the packages that must be there).
"""
