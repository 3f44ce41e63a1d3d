"""Ends a script in one line where it runs in a Python without the packages that it needs.

Every script imports this module before all others: their own imports would end in a traceback.
"""

import sys
from importlib.util import find_spec

PACKAGES = ["jinja2", "keras", "matplotlib", "numpy", "pandas", "pooch", "psutil", "pydantic"]
PACKAGES += ["requests", "ruamel", "scipy", "seaborn", "tensorflow"]

missing = [name for name in PACKAGES if not find_spec(name)]
if missing:
    sys.exit(
        f"error: this Python ({sys.executable}) lacks {', '.join(missing)}; activate the "
        "environment that has them (after `make`: `source .venv/bin/activate`) and run the same "
        "command again"
    )
