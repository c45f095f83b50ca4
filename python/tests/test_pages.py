"""What the documentation says runs."""

import doctest
import importlib
import pkgutil
import re

import pytest
from conftest import root

import cowshed

MODULES = ["cowshed"] + [f"cowshed.{m.name}" for m in pkgutil.iter_modules(cowshed.__path__) if m.name != "_cowshed"]


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_a_module_run(module):
    failed, _ = doctest.testmod(importlib.import_module(module))
    assert failed == 0


def test_everything_public_has_documentation_and_functions_an_example():
    for name in cowshed.__all__ + ["open"]:
        thing = getattr(cowshed, name)
        if name == "NA_INTEGER":
            continue
        assert thing.__doc__, name
        if callable(thing) and not isinstance(thing, type):
            assert ">>> " in thing.__doc__, name


def test_blocks_of_the_readme_run():
    blocks = re.findall(r"```python\n(.*?)```", (root() / "README.md").read_text(), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
