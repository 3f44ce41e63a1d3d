"""Made projects to compare engines with: levels of stages that sleep and write a small file."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from dvc.utils.serialize import dumps_yaml
from support.toy import CONFIG

from checkout import Checkout

IGNORED = "/.snakemake/\n/logs/\n"


class Graph:
    """A pipeline in levels; each stage reads what one or more of the level before have made."""

    def __init__(self, widths: list[int], seconds: int):
        self.levels = [
            [f"s{level}-{number}" for number in range(width)] for level, width in enumerate(widths)
        ]
        self.contents = {"source.txt": "source\n"}
        """What the source and every out contain when all is done."""
        self.pipeline: dict[str, dict[str, Any]] = {"stages": {}}
        self.lock: dict[str, Any] = {"schema": "2.0", "stages": {}}
        """As in `dvc.yaml` and `dvc.lock`."""
        before = ["source.txt"]
        for names in self.levels:
            for number, name in enumerate(names):
                deps = before[number :: len(names)] or [before[number % len(before)]]
                command = f"sleep {seconds} && (echo {name}; cat {' '.join(deps)}) > {name}.txt"
                read = "".join(self.contents[path] for path in deps)
                self.contents[f"{name}.txt"] = f"{name}\n{read}"
                stage = {"cmd": command, "deps": deps, "outs": [f"{name}.txt"]}
                self.pipeline["stages"][name] = stage
                entries = {key: [*map(self.entry, sorted(stage[key]))] for key in ("deps", "outs")}
                self.lock["stages"][name] = {"cmd": command, **entries}
            before = [f"{name}.txt" for name in names]

    def lay_out(self, scratch: Path) -> Checkout:
        """Make the project in a new folder; nothing was ever run."""
        checkout = Checkout(Path(tempfile.mkdtemp(dir=scratch)))
        files = {"dvc.yaml": dumps_yaml(self.pipeline), "source.txt": self.contents["source.txt"]}
        write(checkout.folder, {**files, **CONFIG, ".gitignore": IGNORED})
        checkout.git("init", "--quiet")
        checkout.commit()
        return checkout

    def results(self) -> dict[str, str]:
        """Return the text of each file that `dvc repro` writes."""
        outs = {path: text for path, text in self.contents.items() if path != "source.txt"}
        ignored = IGNORED + "".join(f"/{out}\n" for out in outs)
        return {**outs, "dvc.lock": dumps_yaml(self.lock), ".gitignore": ignored}

    def entry(self, path: str) -> dict[str, object]:
        data = self.contents[path].encode()
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return {"path": path, "hash": "md5", "md5": md5, "size": len(data)}

    def finish(self, folder: Path) -> None:
        """Write what `dvc repro` would have written, which takes it hours for 2,000 stages."""
        cached = {str(self.entry(path)["md5"]): text for path, text in self.contents.items()}
        files = {f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}": text for md5, text in cached.items()}
        write(folder, self.results() | files)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
