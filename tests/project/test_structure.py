"""The structure of the project: declared dependencies, imports, pinned versions, ignored files."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import pytest
import ruamel.yaml
from packaging.requirements import Requirement
from support.project import ROOT

SCRIPTS = ROOT / "workflow" / "scripts"
PACKAGE = SCRIPTS / "overfitting"
BRIDGE = SCRIPTS / "dvc_bridge"
MODULES = sorted([*SCRIPTS.glob("*.py"), *PACKAGE.rglob("*.py")])
STAGES = ruamel.yaml.YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
SUPPORTED = {"dvc": "3.67", "snakemake": "9.27"}


def relative(path: Path) -> str:
    """Return the path of a file relative to the root of the project."""
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, including imports within functions."""
    modules = set()
    package = path.relative_to(SCRIPTS).parts[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            names = {f"{module}.{alias.name}" for alias in node.names}
            submodules = {name for name in names if file_of(name).exists()}
            modules |= submodules | ({module} if submodules != names else set())
    return modules


def file_of(module: str) -> Path:
    return SCRIPTS / f"{module.replace('.', '/')}.py"


def files_needed(script: Path) -> set[Path]:
    """Return a script and all files of this project that it imports, directly or indirectly."""
    needed: set[Path] = set()
    pending = [script]
    while pending:
        path = pending.pop()
        if path not in needed:
            needed.add(path)
            ours = [name for name in imported(path) if name.startswith("overfitting.")]
            unknown = [name for name in ours if not file_of(name).exists()]
            assert not unknown, f"{relative(path)} imports {unknown}, which do not exist"
            pending += map(file_of, ours)
    return needed


def script_of(stage: str) -> Path:
    [script] = re.findall(r"workflow/scripts/\w+\.py", STAGES[stage]["cmd"])
    return ROOT / script


def package_of(path: Path) -> str:
    """Return the subpackage of `overfitting` that a module belongs to."""
    return path.relative_to(PACKAGE).parts[0]


# Modules and stages

PACKAGES = ["common", "data", "training", "evaluation", "analysis", "report", "review"]
"""Each may import only from itself and from those before it."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_exactly_the_folders_that_it_imports_from(stage: str) -> None:
    declared = [dep for dep in STAGES[stage]["deps"] if dep.startswith("workflow/scripts")]
    script, *files = sorted(files_needed(script_of(stage)), key=lambda path: path.parent != SCRIPTS)
    folders = {relative(PACKAGE / package_of(path)) for path in files}
    assert sorted(declared) == sorted({relative(script), *folders})


def test_packages_import_only_downwards() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"} == set(
        PACKAGES
    )
    for path in PACKAGE.rglob("*/*.py"):
        allowed = PACKAGES[: PACKAGES.index(package_of(path)) + 1]
        for name in imported(path):
            if name.startswith("overfitting."):
                assert name.split(".")[1] in allowed, f"{relative(path)} imports {name}"


def test_init_files_have_only_a_docstring() -> None:
    """So no stage needs to declare `overfitting/__init__.py` as a dependency."""
    for path in PACKAGE.rglob("__init__.py"):
        [docstring] = tree(path).body
        assert isinstance(docstring, ast.Expr)
        assert isinstance(docstring.value, ast.Constant)
        assert len(str(docstring.value.value).splitlines()) <= 6
    text = ast.get_docstring(tree(PACKAGE / "__init__.py")) or ""
    assert re.findall(r"`(\w+)`", text) == PACKAGES


def test_no_module_is_longer_than_300_lines() -> None:
    for path in [*PACKAGE.rglob("*.py"), *BRIDGE.glob("*.py"), *SCRIPTS.glob("*.py")]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 300, f"{relative(path)}: {lines} lines"


@pytest.mark.parametrize("stage", ["params", "download", "subset", "corruptions", "report"])
def test_a_fast_stage_does_not_import_tensorflow(stage: str) -> None:
    """As in `python workflow/scripts/….py`, without PYTHONPATH and without installing anything."""
    code = (
        "import runpy, sys\n"
        "sys.path[0], sys.argv = sys.argv[2], [sys.argv[1], '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    script = script_of(stage)
    done = subprocess.run(
        [sys.executable, "-c", code, str(script), str(SCRIPTS)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "overfitting" in loaded
    assert not loaded & {"tensorflow", "keras", "dvc", "snakemake"}
    if stage == "report":
        assert {"matplotlib", "seaborn"} <= loaded


def test_only_the_bridge_imports_dvc_and_snakemake() -> None:
    """And the scripts that set up working copies for both engines and check them: no science."""
    for path in MODULES:
        if path.name in ("check.py", "study.py"):
            continue
        roots = {name.partition(".")[0] for name in imported(path)}
        assert not roots & {"dvc", "snakemake", "dvc_bridge", "scmrepo"}, relative(path)


def test_the_bridge_is_independent_of_this_pipeline() -> None:
    """It imports only dependencies of DVC and Snakemake, and mentions no name of the pipeline."""
    dependencies = {"dvc", "dvc_bridge", "psutil", "ruamel", "scmrepo", "snakemake", "zc"}
    models = ruamel.yaml.YAML(typ="safe").load((ROOT / "params.yaml").read_text())["models"]
    names = {"overfitting", "mnist", "keras", "tensorflow", "epoch", *models, "evaluate", "subset"}
    for path in (path for path in BRIDGE.iterdir() if path.is_file()):
        text = path.read_text(encoding="utf-8").lower()
        assert not {name for name in names if name in text}, relative(path)
        if path.suffix == ".py":
            roots = {name.partition(".")[0] for name in imported(path)}
            assert roots - set(sys.stdlib_module_names) <= dependencies, relative(path)


def test_only_one_module_patches_dvc() -> None:
    """All assignments to attributes of modules and classes of DVC are in `patches`."""
    for path in BRIDGE.glob("*.py"):
        if path.stem == "patches":
            continue
        of_dvc = {
            alias.asname or alias.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dvc.")
            for alias in node.names
        }
        for node in ast.walk(tree(path)):
            for target in node.targets if isinstance(node, ast.Assign) else []:
                root, _, attribute = ast.unparse(target).partition(".")
                assert not (attribute and root in {"dvc", *of_dvc}), relative(path)
    text = (BRIDGE / "patches.py").read_text(encoding="utf-8")
    assert len(re.findall(r"Upstream: [\w-]+/[\w-]+#\d+ ", text)) == text.count("Why: ") == 5


def test_no_file_runs_when_python_starts() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = listed.stdout.splitlines()
    assert not [name for name in files if name.endswith((".pth", "sitecustomize.py"))]
    for name in files:
        if name.endswith((".py", ".smk", "Snakefile", "Makefile")) and (ROOT / name).exists():
            text = (ROOT / name).read_text(encoding="utf-8")
            assert "orig_" + "argv" not in text, name


def test_keras_is_imported_only_after_it_is_configured() -> None:
    importing = {
        path.stem for path in PACKAGE.rglob("*.py") if imported(path) & {"keras", "tensorflow"}
    }
    assert importing == {"determinism"}
    text = (PACKAGE / "training" / "determinism.py").read_text(encoding="utf-8")
    assert text.index("TF_ENABLE_ONEDNN_OPTS") < text.index("import keras")


def test_nothing_loaded_can_run_code() -> None:
    """Pickles, models with code and YAML with tags can run arbitrary code."""
    runs_code = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
    calls = {"eval", "exec", "load_model", "model_from_json", "from_config", "unsafe_load"}
    checked = set()
    for path in MODULES:
        assert not {name.partition(".")[0] for name in imported(path)} & runs_code, relative(path)
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            where = f"{relative(path)}, line {node.lineno}"
            function = ast.unparse(node.func)
            arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert function.rpartition(".")[2] not in calls, where
            assert arguments.get("allow_pickle", "False") == "False", where
            assert arguments.get("enable_unsafe_deserialization", "False") == "False", where
            if function in {"np.load", "numpy.load"}:
                assert "allow_pickle" in arguments, where
                checked.add(function)
            if function.endswith("YAML"):
                assert arguments == {"typ": "'safe'"}, where
                checked.add(function)
    assert checked == {"np.load", "ruamel.yaml.YAML"}  # so the checks above have found these calls


def test_the_snakefile_has_a_rule_per_stage() -> None:
    text = (ROOT / "Snakefile").read_text()
    rules = re.findall(r"^(?:use rule \w+ as|rule) (\w+)", text, flags=re.M)
    assert sorted(rules) == sorted(["all", *STAGES])
    assert len(text.splitlines()) <= 130


# Versions


def requirements(file: str) -> dict[str, list[str]]:
    """Return the requirements that a lock file lists itself, each with its options: hashes."""
    text = (ROOT / file).read_text().replace("\\\n", " ")
    lines = [line.split(" #")[0].strip() for line in text.splitlines()]
    entries = [line.split() for line in lines if line and not line.startswith(("#", "-r "))]
    return {
        " ".join(word for word in words if not word.startswith("--")): [
            word for word in words if word.startswith("--")
        ]
        for words in entries
    }


LOCKS = ["requirements.txt", "requirements-extras.txt", "requirements-dev.txt"]


@pytest.mark.parametrize("file", LOCKS)
def test_every_requirement_is_pinned_and_hashed(file: str) -> None:
    entries = requirements(file)
    assert len(entries) > 10
    for requirement, options in entries.items():
        pins = list(Requirement(requirement).specifier)
        assert [pin.operator for pin in pins] == ["=="], requirement
        assert "*" not in pins[0].version, requirement
        assert options, f"{requirement} has no hash"
        for option in options:
            assert re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", option), f"{requirement}: {option}"


@pytest.mark.parametrize("file", [*LOCKS, "pyproject.toml"])
def test_no_package_index_is_set(file: str) -> None:
    """Users may have configured a mirror for pip, which these files must not override."""
    for line in (ROOT / file).read_text().splitlines():
        assert not re.search(r"://|--(extra-)?index|--find-links|^\s*-[if]\b", line), line


def test_a_lock_adds_packages_to_the_one_that_it_includes() -> None:
    """So tests run with the versions that users get."""
    known: dict[str, list[str]] = {}
    for previous, file in zip([None, *LOCKS], LOCKS, strict=False):
        included = re.findall(r"^-r (\S+)", (ROOT / file).read_text(), flags=re.M)
        assert included == ([previous] if previous else [])
        added = requirements(file)
        assert not added.keys() & known.keys()
        # A tool may need a package on more platforms: then it is there again, but for the marker.
        pins = {entry.split(" ;")[0]: hashes for entry, hashes in known.items()}
        names = {Requirement(pin).name for pin in pins}
        for entry, hashes in added.items():
            if Requirement(entry).name in names:
                assert pins.get(entry.split(" ;")[0]) == hashes, entry
        known |= added
    assert {Requirement(name).name for name in requirements("requirements.txt")} >= {
        *("tensorflow", "keras", "dvc", "snakemake")
    }
    assert {Requirement(name).name for name in added} >= {"pytest", "ruff", "mypy"}


def test_lock_files_satisfy_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked: dict[str, list[str]] = {}
    for entry in requirements("requirements.txt") | requirements("requirements-extras.txt"):
        [pin] = Requirement(entry).specifier
        locked.setdefault(Requirement(entry).name, []).append(pin.version)
    extras = project["project"]["optional-dependencies"].values()
    for required in map(Requirement, [*project["project"]["dependencies"], *chain(*extras)]):
        assert locked.get(required.name), f"{required} is not locked: run `make lock`"
        assert all(required.specifier.contains(pin) for pin in locked[required.name]), (
            f"{required.name} {locked[required.name]} does not satisfy {required}: run `make lock`"
        )


def test_the_conda_environment_has_the_same_requirements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = ruamel.yaml.YAML(typ="safe").load(ROOT / "workflow" / "environment.yaml")
    *packages, pip = environment["dependencies"]
    assert pip == {"pip": project["dependencies"]}
    assert packages == [f"python{project['requires-python']}", "pip"]


@pytest.mark.parametrize("engine", SUPPORTED)
def test_the_engines_have_supported_versions(engine: str) -> None:
    minor = SUPPORTED[engine]
    assert version(engine).startswith(f"{minor}."), (
        f"{engine} is {version(engine)}, but workflow/scripts/dvc_bridge was "
        f"written for {minor} and uses its internals. Run the whole test suite with "
        f"the new version; where it passes, raise {minor} here, in pyproject.toml, "
        "workflow/environment.yaml and the README of dvc_bridge, and run `make lock`; else "
        "stay with the old one"
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [required] = [
        requirement
        for requirement in map(Requirement, project["dependencies"])
        if requirement.name == engine
    ]
    major, second = minor.split(".")
    assert not required.specifier.contains(f"{major}.{int(second) + 1}.0")


def test_the_readme_of_the_bridge_lists_versions_and_modules() -> None:
    text = (BRIDGE / "README.md").read_text(encoding="utf-8")
    assert f"DVC {SUPPORTED['dvc']}" in text
    assert f"Snakemake {SUPPORTED['snakemake']}" in text
    modules = {path.name for path in BRIDGE.iterdir() if path.suffix in {".py", ".smk"}}
    described = set(re.findall(r"^\| `(\w+\.(?:py|smk))` \|", text, flags=re.M))
    assert described == modules - {"__init__.py"}


# Git and continuous integration


def ignored(path: str) -> bool:
    """Return whether .gitignore excludes a path, regardless of tracked files and user settings."""
    command = ["git", "-c", f"core.excludesFile={os.devnull}", "check-ignore", "--no-index", "-q"]
    done = subprocess.run([*command, path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


@pytest.mark.parametrize(
    "path",
    [
        "data/raw/train-images-idx3-ubyte",
        "data/subset/train.npz",
        "data/params.checked",
        "models/baseline/0.weights.h5",
        "results/baseline/0/training.json",
        ".snakemake/dvc/stamps/report",
        "logs/train/baseline-0.log",
        "reports/.partial-1-report.md",
    ],
)
def test_git_ignores_outputs_of_runs(path: str) -> None:
    assert ignored(path)


@pytest.mark.parametrize(
    "path",
    [
        "data/SHA256SUMS",
        "dvc.lock",
        "params.yaml",
        ".dvc/config",
        *(path for out in STAGES["report"]["outs"] + STAGES["report"]["metrics"] for path in out),
        *(relative(path) for path in MODULES),
        "workflow/templates/report.md.j2",
    ],
)
def test_git_tracks_sources_and_the_report(path: str) -> None:
    assert not ignored(path)


def test_continuous_integration_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    first, *lines = script.read_text().splitlines()
    assert first == "#!/usr/bin/env bash"
    setup = ("#", "set ", "cd ")
    commands = [line for line in lines if line.strip() and not line.startswith(setup)]
    assert {line.split()[1] for line in commands if line.startswith("need ")} == {
        "chromium",
        "openssh-server",
        "slurm-wlm",
        "munge",
    }
    assert commands[commands.index("fi") + 1 :] == ["exec make test"]
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "test"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "MAKEFLAGS"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1].endswith("bin/pytest")
