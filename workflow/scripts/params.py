"""Stage params: reject an invalid params.yaml.

DVC looks only at the keys that some stage declares, so it would not notice a misspelt one. This
stage depends on the whole file. No other stage depends on this one, so an edit of params.yaml makes
only those other stages stale that read an edited key.
"""

import overfitting.common.environment  # noqa: F401

# isort: split
from overfitting.common import params
from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import run_script
from overfitting.common.files import write_text


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_input("params", "the params.yaml to check")
    parser.add_output("marker", "marker that params.yaml is valid", ".checked")
    arguments = parser.parse(argv)
    params.read(arguments.params)
    write_text(arguments.marker, "params.yaml is valid.\n")


if __name__ == "__main__":
    run_script(main)
