"""Lets Snakemake run the stages of a `dvc.yaml`, and DVC decide which of them must run.

It knows nothing of the pipeline that it runs. `README.md` beside this file says what it promises,
how to use it and how it works.
"""
