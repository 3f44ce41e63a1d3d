"""Exits with a one-line message if a package that the scripts need is not installed.

Every script imports this module first, because its other imports would fail with a traceback.
"""

import sys
from importlib.util import find_spec

PACKAGES = ["jinja2", "keras", "markdown_it", "matplotlib", "mdit_py_plugins", "numpy", "pandas"]
PACKAGES += ["pooch", "psutil", "pydantic", "requests", "ruamel", "scipy", "seaborn", "tensorflow"]

missing = [name for name in PACKAGES if not find_spec(name)]
if missing:
    sys.exit(
        f"error: this Python ({sys.executable}) lacks {', '.join(missing)}; activate the "
        "environment that has them (after `make`: `source .venv/bin/activate`) and run the same "
        "command again"
    )
