"""YAML as people expect it to read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tumble._errors import TumbleError

_LARGEST_FILE = 10 * 2**20


class RunFileError(TumbleError):
    """A run file that cannot be understood."""


def read_yaml(path: Path) -> tuple[Any, str]:
    """Return the content of a YAML file, and its text. Raises `RunFileError`.

    Plain words are read by the core schema of YAML 1.2. The older rules of PyYAML take ``1e-4`` for
    text, ``NO`` (nitric oxide) for false and ``1:30`` for ninety.
    """
    import yaml

    text = _read_text(path)
    try:
        content = yaml.load(text, Loader=_make_loader())
    except yaml.MarkedYAMLError as error:
        raise RunFileError(_explain(path, error, text)) from None
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RunFileError(f"'{path.name}' is not a text in YAML: {reason}.") from None
    except RecursionError:
        raise RunFileError(f"'{path.name}' is nested too deeply to be a run file.") from None
    if content is None:
        raise RunFileError(
            f"'{path.name}' is empty, expected a run file with `model`, `experiments` and "
            "`parameters`; `tumble example influenza` copies one."
        )
    if not isinstance(content, dict):
        raise RunFileError(
            f"'{path.name}' holds a {_kind(content)}, expected keys such as 'model:' at its top."
        )
    return content, text


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise RunFileError(f"'{path}' is a folder, expected a run file such as '{path}/run.yaml'.")
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise RunFileError(f"'{path.name}' is larger than 10 MiB, too large for a run file.")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RunFileError(f"there is no file '{path}'; check the path.") from None
    except UnicodeDecodeError:
        raise RunFileError(f"'{path.name}' is not text in UTF-8, expected a YAML file.") from None
    except OSError as error:
        raise RunFileError(f"cannot read '{path}': {error.strerror or error}.") from None


def _make_loader() -> Any:
    import yaml

    class CoreLoader(yaml.SafeLoader):
        """Plain words by the core schema of YAML 1.2; a key given twice is an error. Final."""

        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own name)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: dict[Any, int] = {}
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                line = key_node.start_mark.line + 1
                if isinstance(key, (dict, list)):
                    raise yaml.constructor.ConstructorError(
                        None, None, "a key must be a word", key_node.start_mark
                    )
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key!r} is given twice (first in line {seen[key]})",
                        key_node.start_mark,
                    )  # fmt: skip
                seen[key] = line
            return dict(yaml.SafeLoader.construct_mapping(self, node, deep))

    for tag, pattern, first in (
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        ("int", r"[-+]?[0-9]+", list("-+0123456789")),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
                  r"|\.(nan|NaN|NAN)", list("-+.0123456789")),
    ):  # fmt: skip
        regexp = re.compile(rf"^(?:{pattern})$")
        CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", regexp, first)
    # 0123 is decimal in YAML 1.2; PyYAML would read it as octal.
    CoreLoader.add_constructor(
        "tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node))
    )
    return CoreLoader


def _explain(path: Path, error: Any, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    lines = text.splitlines()
    shown = lines[mark.line] if mark and mark.line < len(lines) else ""
    problem = error.problem or "it cannot be read"
    if "\t" in shown[: len(shown) - len(shown.lstrip())]:
        problem = "a tab is used for indentation; use spaces"
    elif "mapping values are not allowed" in problem:
        problem = "an unexpected ':'; put quotes around text that contains ': '"
    elif "could not determine a constructor" in problem:
        problem = "tags such as '!name' are not used in run files"
    return f"'{path.name}' line {line}: {problem}."


def _kind(content: Any) -> str:
    return {list: "list", str: "text", bool: "truth value"}.get(type(content), "number")
