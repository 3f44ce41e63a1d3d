"""Write the JSON Schema of params.yaml, from which editors complete and check its keys."""

import argparse
import json
from pathlib import Path

from overfitting.console import run_script
from overfitting.files import write_text
from overfitting.params import Params


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schema", type=Path, help="file to write")
    arguments = parser.parse_args(argv)
    write_text(arguments.schema, json.dumps(Params.model_json_schema(), indent=2) + "\n")


if __name__ == "__main__":
    run_script(main)
