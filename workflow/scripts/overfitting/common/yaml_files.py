"""Reading YAML files in the same way as DVC."""

from pathlib import Path
from typing import Any

import ruamel.yaml

from .errors import UserError

MAX_YAML_BYTES = 2**20


def load_yaml(path: Path) -> Any:
    """Read a YAML file with the parser and settings of DVC, so that both get the same values.

    Raises:
        UserError: the file is missing, too large, not UTF-8, not YAML, nested too deeply, or has
            a key twice.
    """
    try:
        if (size := path.stat().st_size) > MAX_YAML_BYTES:
            raise UserError(f"{path} has {size} bytes; at most {MAX_YAML_BYTES} are allowed")
        return ruamel.yaml.YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run this in the project's folder") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except ruamel.yaml.constructor.DuplicateKeyError as error:
        key = str(error.problem).split('"')[1]
        line = error.problem_mark.line + 1
        raise UserError(
            f"{path}, line {line}: the key {key!r} is listed twice; keep one of them"
        ) from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply; restore its original structure") from None
    except ruamel.yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
