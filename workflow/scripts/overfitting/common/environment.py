"""Removes the user's own settings of libraries, and checks that all packages are installed.

Every script imports this module first: libraries read most settings when they are imported, and
without a package the script's other imports would fail with a traceback.

Results must depend on `params.yaml`, the data and the code alone. But environment variables and
files in the home folder can make Keras compute with another precision or stop after one epoch, and
matplotlib draw in other fonts; DVC would record the results as those of `params.yaml`.
"""

import os
import sys
from importlib.util import find_spec

PREFIXES = (
    *("AUTOGRAPH_", "KERAS_", "TF2_", "TF_", "XLA_"),  # Keras and TensorFlow
    *("DNNL_", "GOMP_", "KMP_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_"),  # what they compute with
    *("NPY_", "NUMPY_", "PANDAS_", "SCIPY_"),
    *("MATPLOTLIB", "MPL", "SEABORN_"),
)
"""Prefixes of the variables that libraries read. These variables are removed."""
NAMES = {"NVIDIA_TF32_OVERRIDE", "SOURCE_DATE_EPOCH"}
"""Other variables that change results; they are removed, too."""
KEPT = ("TF_CPP_", "TF_FORCE_GPU_ALLOW_GROWTH")
"""Variables that only change what TensorFlow prints and how it allocates memory; they are kept."""
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
