"""What the scripts share: pure functions that know neither Snakemake nor DVC.

The rooms, in the order in which the data walk through them: `params`, `checksums`, `sources`,
`idx`, `datasets`, `determinism`, `networks`, `training`, `inference`, `measures`, `statistics`,
`results`, `figures`, `pages`. Beside them stand `errors`, `files` (writing whole or not at all),
`console` (talking to people) and `pipeline` (what Snakemake asks DVC; the only one that imports
DVC).
"""
