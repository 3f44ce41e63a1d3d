"""Write the JSON Schema of params.yaml, with which editors complete and check its keys."""

import overfitting.common.environment  # noqa: F401

# isort: split
import json

from overfitting.common.arguments import ScriptArgumentParser
from overfitting.common.console import run_script
from overfitting.common.files import write_text
from overfitting.common.params import Params


def main(argv: list[str]) -> None:
    parser = ScriptArgumentParser(__doc__)
    parser.add_output("schema", "the schema", ".json")
    arguments = parser.parse(argv)
    write_text(arguments.schema, json.dumps(Params.model_json_schema(), indent=2) + "\n")


if __name__ == "__main__":
    run_script(main)
