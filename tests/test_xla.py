"""Programs of JAX: settings that XLA knows, and a place on disk."""

import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tumble import _cache_folder, _xla
from tumble._cache_folder import cache_folder, processor, prune

_COMPILE = """
import sys, jax
{before}
from tumble._xla import jit_equations
def power(x):
    for _ in range(200):
        x = jax.numpy.sin(x) @ x
    return x
jit_equations(power)(jax.numpy.eye(3))
print(jax.config.jax_compilation_cache_dir)
"""


@pytest.mark.parametrize("jit", [_xla.jit, _xla.jit_equations, _xla.jit_lattice])
def test_programs_compute_what_their_functions_do(jit):
    x = jnp.linspace(0.0, 1.0, 5)
    np.testing.assert_allclose(jit(lambda x: jnp.cumsum(jnp.exp(x)))(x), np.cumsum(np.exp(x)), 1e-6)


def test_settings_that_xla_does_not_know_are_left_out():
    assert _xla._known(_xla._EQUATIONS) == dict(_xla._EQUATIONS)
    assert _xla._known((("xla_no_such_setting", True),)) is None


def compile_in_another_process(folder, before="", **more):
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[1]), "TUMBLE_CACHE_DIR": str(folder), **more,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", _COMPILE.format(before=before)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()[-1]


def test_programs_are_kept_between_processes(tmp_path):
    used = Path(compile_in_another_process(tmp_path))
    assert used == tmp_path / "programs" / processor()
    (kept,) = used.glob("jit_power*-cache")
    made = kept.stat().st_mtime_ns
    compile_in_another_process(tmp_path)
    assert [path.stat().st_mtime_ns for path in used.glob("jit_power*-cache")] == [made]


def test_what_the_user_chose_stays(tmp_path):
    chosen = str(tmp_path / "mine")
    before = f"jax.config.update('jax_compilation_cache_dir', {chosen!r})"
    assert compile_in_another_process(tmp_path / "ours", before) == chosen
    assert not (tmp_path / "ours").exists()
    assert compile_in_another_process("") == "None"


def test_a_cache_is_optional(tmp_path):
    (tmp_path / "file").write_text("")
    assert compile_in_another_process(tmp_path / "file") == "None"


def test_the_folder_of_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("TUMBLE_CACHE_DIR", str(tmp_path))
    assert cache_folder("kernels") == tmp_path / "kernels"
    monkeypatch.delenv("TUMBLE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert cache_folder("kernels") == tmp_path / "tumble" / "kernels"
    monkeypatch.setenv("TUMBLE_CACHE_DIR", "")
    assert cache_folder("kernels") is None


def test_another_kind_of_processor_has_another_name(monkeypatch):
    here = processor()
    monkeypatch.setattr(_cache_folder.Path, "read_text", lambda path: "flags : another")
    assert processor() != here


def test_the_oldest_files_are_deleted(tmp_path):
    for i in range(4):
        path = tmp_path / f"{i}-cache"
        path.touch()
        os.utime(path, (i, i))
    (tmp_path / "another").touch()
    prune(tmp_path, "*-cache", 2, Path.unlink)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2-cache", "3-cache", "another"]
