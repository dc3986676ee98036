"""The examples that come with tumble."""

from __future__ import annotations

import shutil
from pathlib import Path

from tumble._errors import RunFolderError, TumbleError, require_known


def examples_folder() -> Path:
    """Return the folder of the examples: in an installed package, or in a copy of the source."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_examples", package.parent / "examples"):
        if folder.is_dir():
            return folder
    raise TumbleError("the examples are not installed; take them from the source of tumble.")


def example_names() -> list[str]:
    """Return the names of the examples."""
    return sorted(path.parent.name for path in examples_folder().glob("*/run.yaml"))


def list_examples() -> None:
    """Print the examples with their titles."""
    from tumble.io._yaml import read_yaml

    names = example_names()
    width = max(len(name) for name in names)
    for name in names:
        content, _ = read_yaml(examples_folder() / name / "run.yaml")
        print(f"{name:<{width}}  {content.get('title', '')}")
    print(f"\nCopy one:  tumble example {names[0]} --to my-fit")


def copy_example(name: str, to: Path | None) -> None:
    """Copy an example to a folder that is not there yet, or empty."""
    require_known([name], example_names(), what="`NAME` is", owner="tumble")
    target = Path(name) if to is None else to
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunFolderError(f"'{target}' exists already; choose another folder with --to.")
    shutil.copytree(
        examples_folder() / name,
        target,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", "runs"),
    )
    from tumble.io._yaml import read_yaml

    content, _ = read_yaml(target / "run.yaml")
    verb = "learn" if "structure" in content else "fit"
    print(f"copied to {target}/\n{verb} it:    tumble {verb} {target / 'run.yaml'}")
