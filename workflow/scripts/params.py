"""Stage params: refuse a wrong params.yaml before any other stage works.

DVC looks only at the keys that some stage declares, so it would not see a misspelt one. This
stage depends on the whole file and stands before all others; its output never changes, so
that an edit makes no other stage stale than those that read what was edited.
"""

import overfitting.common.check_environment  # noqa: F401

# isort: split
from overfitting.common import params
from overfitting.common.arguments import Arguments
from overfitting.common.console import run_script
from overfitting.common.files import write_text


def main(argv: list[str]) -> None:
    parser = Arguments(__doc__)
    parser.reads("params", "the params.yaml to check")
    parser.writes("mark", "a mark that there was nothing to refuse", ".checked")
    arguments = parser.parsed(argv)
    params.read(arguments.params)
    write_text(arguments.mark, "params.yaml was read and nothing in it had to be refused.\n")


if __name__ == "__main__":
    run_script(main)
