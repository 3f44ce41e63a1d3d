"""Read every file that DVC keeps here, and name those that are not what was recorded.

Run by `make verify`. Ends with status 1 where one is damaged. DVC itself goes by time and size
once it has seen a file, and hands out what its cache holds without looking at it. Data that are
not on this machine (a fresh clone has none) are counted, but are no damage.
"""

import argparse
from pathlib import Path

from overfitting import params
from overfitting.console import run_script, say
from overfitting.errors import UserError
from overfitting.pipeline import Pipeline, Recorded


def main(argv: list[str]) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    params.read(Path("params.yaml"))  # says what is wrong in it better than DVC
    pipeline = Pipeline()
    outs = list(pipeline.recorded_outs())
    # First: where DVC itself comes upon a damaged copy, it removes it without a word.
    damaged_in_cache = list(pipeline.damaged_in_cache())
    contradicting = pipeline.contradicting_lock()
    faults = [
        *say(
            "DVC's cache",
            "every file in it has the contents that it is named after",
            [
                f"{copy} is not what it was{_of(outs, md5)}; remove it, run `snakemake --cores 4`"
                for copy, md5 in damaged_in_cache
            ],
        ),
        *say(
            "files",
            "all that are here have the contents that dvc.lock records",
            [
                f"{out.path} is not what dvc.lock records; remove it, run `snakemake --cores 4`"
                for out in outs
                if not out.is_missing() and not out.is_intact()
            ],
        ),
        *say(
            "dvc.lock",
            "was made from this code, these params and these files",
            [
                *(
                    f"{stage} differs from what it records; run `snakemake --cores 4`"
                    for stage in contradicting
                ),
                *(
                    f"{path} has another size than it records for {stage}; `git checkout dvc.lock`"
                    for stage, path in pipeline.other_sizes()
                    if stage not in contradicting
                ),
            ],
        ),
    ]
    if missing := sum(out.is_missing() for out in outs):
        print(f"note     {missing} data files are not on this machine; `make` makes them")
    if faults:
        raise UserError(f"{len(faults)} damaged or different, see above")


def _of(outs: list[Recorded], md5: str) -> str:
    """Say which out a file in the cache is a copy of, if it is one of the present."""
    return "".join(f" ({out.path})" for out in outs if out.md5 == md5)


if __name__ == "__main__":
    run_script(main)
