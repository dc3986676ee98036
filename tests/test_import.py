from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import tumble


def fresh(code):
    """Standard output of ``code`` in a Python that has imported nothing else."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_importing_tumble_loads_no_heavy_package():
    heavy = ["jax", "numba", "pandas", "xarray", "scipy", "equinox", "optax",
             "matplotlib", "rich", "typer", "pydantic", "h5py", "yaml"]  # fmt: skip
    code = f"import sys, tumble; print([m for m in {heavy} if m in sys.modules])"
    assert fresh(code) == "[]"


def test_a_network_needs_neither_jax_nor_numba():
    code = (
        "import sys, tumble as tb; tb.ReactionNetwork.from_text('S + I -> 2 I ; beta'); "
        "tb.Parameter(0.1, 1); tb.noise.Poisson(); tb.priors.Normal(0.0, 1.0); "
        "tb.Observable('S + I'); tb.Budget(simulations=10); "
        "print([m for m in ('jax', 'numba', 'pandas', 'xarray') if m in sys.modules])"
    )
    assert fresh(code) == "[]"


@pytest.mark.parametrize("name", tumble.__all__)
def test_public_names_resolve(name):
    value = getattr(tumble, name)
    assert value is getattr(tumble, name)
    if name != "__version__" and not isinstance(value, ModuleType):
        assert value.__name__ == name
        assert value.__module__.startswith("tumble.")
        assert value.__doc__


def test_public_names_are_listed():
    assert set(tumble.__all__) <= set(dir(tumble))
    assert len(set(tumble.__all__)) == len(tumble.__all__)
    assert set(tumble._HOMES) | {"__version__"} == set(tumble.__all__)


def test_the_names_of_the_type_checker_are_those_of_the_loader():
    """What is imported under TYPE_CHECKING is what is loaded on first use."""
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(tumble))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for statement in block.body:
        for alias in statement.names:
            whole = statement.module == "tumble"
            seen[alias.name] = f"tumble.{alias.name}" if whole else statement.module
    assert seen == tumble._HOMES


def test_unknown_names():
    with pytest.raises(AttributeError, match="module 'tumble' has no attribute 'Fit'"):
        tumble.Fit


def test_every_public_package_lists_what_it_has():
    for name in ("models", "noise", "priors", "simulators"):
        package = getattr(tumble, name)
        assert all(hasattr(package, public) for public in package.__all__)


def test_errors_are_values_that_one_except_catches():
    from tumble import _errors

    kinds = [k for k in vars(_errors).values() if getattr(k, "__module__", "") == _errors.__name__]
    kinds = [kind for kind in kinds if isinstance(kind, type)]
    assert len(kinds) > 5
    assert all(issubclass(kind, tumble.TumbleError) for kind in kinds)
    assert issubclass(tumble.TumbleError, ValueError)
