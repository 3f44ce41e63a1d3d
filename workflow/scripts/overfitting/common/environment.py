"""Prepares the process of a script: the user's own settings do not count, packages are there.

Every script imports this module first: libraries read most settings when they are imported, and the
other imports of a script would fail with a traceback where a package is missing.

Results must depend on `params.yaml`, the data and the code alone. But environment variables, and
files in the home folder, can make Keras compute in other precision or stop after one epoch, and
matplotlib draw in other fonts. DVC would record such results as those of the params.
"""

import os
import sys
from importlib.util import find_spec

PREFIXES = (
    *("AUTOGRAPH_", "KERAS_", "TF_", "XLA_"),  # Keras and TensorFlow
    *("DNNL_", "GOMP_", "KMP_", "MKL_", "OMP_", "ONEDNN_"),  # what they compute with
    *("NPY_", "NUMPY_", "PANDAS_", "SCIPY_"),
    *("MATPLOTLIB", "MPL", "SEABORN_"),
)
"""How the variables begin that libraries read; all of them are removed."""
NAMES = {"NVIDIA_TF32_OVERRIDE", "SOURCE_DATE_EPOCH"}
"""Others that change numbers or files."""
KEPT = ("TF_CPP_", "TF_FORCE_GPU_ALLOW_GROWTH")
"""Variables of TensorFlow that change only what it prints, and how it takes memory."""
PACKAGES = ["jinja2", "keras", "markdown_it", "matplotlib", "mdit_py_plugins", "numpy", "pandas"]
PACKAGES += ["pooch", "psutil", "pydantic", "requests", "ruamel", "scipy", "seaborn", "tensorflow"]

for name in list(os.environ):
    if name in NAMES or (name.startswith(PREFIXES) and not name.startswith(KEPT)):
        del os.environ[name]
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["KERAS_HOME"] = os.devnull  # the folder of keras.json, which is read and written there

if missing := [name for name in PACKAGES if not find_spec(name)]:
    sys.exit(
        f"error: this Python ({sys.executable}) lacks {', '.join(missing)}; activate the "
        "environment that has them (after `make`: `source .venv/bin/activate`) and run the same "
        "command again"
    )
