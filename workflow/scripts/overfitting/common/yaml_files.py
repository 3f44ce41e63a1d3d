"""Reading YAML files as DVC reads them."""

from pathlib import Path
from typing import Any

import ruamel.yaml

from .errors import UserError

MAX_YAML_BYTES = 2**20


def load_yaml(path: Path) -> Any:
    """Read a YAML file with the reader and the settings of DVC, so that both see the same.

    Raises:
        UserError: the file is missing, too large, is not YAML, or names a key twice.
    """
    try:
        if (size := path.stat().st_size) > MAX_YAML_BYTES:
            raise UserError(f"{path} has {size} bytes; more than {MAX_YAML_BYTES} are not read")
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
        raise UserError(f"{path} is nested too deeply; write it flat, as it was") from None
    except ruamel.yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
