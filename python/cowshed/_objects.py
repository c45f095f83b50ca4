"""Objects that R made: found by name, or opened from a file; and what R says of them beside their elements."""

from __future__ import annotations

import os
from typing import Any, Optional, Union

import numpy as np

from . import _cowshed
from ._factor import Factor


def open(path: Union[str, "os.PathLike[str]"]) -> Any:
    """The object in a file: of R's `share(x, store = )`, of `cache` (`.cow`), or an array of numpy's (`.npy`).

    Vectors, matrices and arrays of numbers are read-only views of the file; logical vectors without NA, and strings, are converted. What becomes of R's types, the
    package's README tells.

    Args:
        path: a path; a leading `~` is the home directory.

    Returns:
        An array, a `Factor`, or a list, tuple or dict of these. Extents are R's, in Fortran order; R's numbers are arrays of one element.

    Raises:
        Gone: there is no such file; it is a `FileNotFoundError`.
        Corrupt: it is no such file, or damaged.
        Version: another version of cowshed wrote it.
        Unshareable: it has an object that Python has nothing for, which the message names.
        Store: it cannot be read.

    Examples:
        >>> import cowshed, numpy as np, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "x.npy")
        >>> np.save(path, np.arange(3))
        >>> cowshed.open(path)
        memmap([0, 1, 2])
    """
    return _cowshed.open(os.path.expanduser(path), False)


def retrieve(namespace: str, name: str, store: Optional[Union[str, "os.PathLike[str]"]] = None) -> Any:
    """The object that an R process of this user registered with `registerVariables(namespace, list(name = x))`.

    Nothing is copied but what must be converted, as for `open`. The arrays keep the memory, whatever becomes of the name or of the R process.

    Args:
        namespace: R's `namespace`.
        name: the variable.
        store: the directory that `options(cowshed.store = )` says in the R process, if it does.

    Returns:
        As `open`.

    Raises:
        Gone: nobody who lives has registered it; it is a `KeyError`.
        Corrupt: its data are damaged.
        Version: another version of cowshed wrote them.
        Unshareable: it has an object that Python has nothing for, which the message names.
        Store: the store cannot be used.

    Examples:
        >>> import cowshed
        >>> try:
        ...     cowshed.retrieve("results", "model-1")
        ... except cowshed.Gone as error:
        ...     print(str(error)[:61])
        There is no 'model-1' in the namespace 'results' in the store
    """
    return _cowshed.retrieve(namespace, name, None if store is None else os.path.expanduser(store))


def attributes(x: Union[np.ndarray, Factor]) -> dict[str, Any]:
    """What R says of an array beside its elements: `names`, `dim`, `dimnames`, `class`, `levels` and whatever its makers gave it.

    Args:
        x: an array that `open` or `retrieve` returned or that is in what they returned, itself and no slice of it; or a `Factor`.

    Returns:
        Their values by their names, as Python has them; of an attribute that Python has nothing for, the `Unshareable` that says so. Empty for an array that R
        did not make.

    Raises:
        TypeError: `x` is neither.

    Examples:
        >>> import cowshed, numpy as np
        >>> cowshed.attributes(np.zeros(3))
        {}
    """
    if isinstance(x, Factor):
        x = x.codes
    if not isinstance(x, np.ndarray):
        raise TypeError(f"x should be an array or a Factor, not {type(x).__name__}")
    found = x.base.attributes if isinstance(x.base, _cowshed.View) else None
    return dict(found or {})
