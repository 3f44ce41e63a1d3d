"""The code of the stages; it imports neither Snakemake nor DVC.

The packages, each of which imports only from those above it: `common`, `data`, `training`,
`evaluation`, `analysis`, `report` and `review`.
"""
