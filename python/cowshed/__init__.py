"""Arrays and other objects in shared memory, once per machine, for Python and R.

`cache` makes an object in the first process that asks for it, and gives it to all others without a copy; `retrieve` and `open` read what R shared.
Whoever used the package sharearray writes `import cowshed as sharearray` and changes nothing else.

Examples:
    >>> import cowshed as sharearray
    >>> import numpy as np
    >>> data = sharearray.cache("doc-package", lambda: np.eye(2), verbose=False)
    >>> float(data.sum())
    2.0
    >>> sharearray.free("doc-package")
"""

from ._cowshed import NA_INTEGER
from ._errors import (
    Argument,
    Corrupt,
    Error,
    Exists,
    Full,
    Gone,
    Machine,
    Memory,
    Plugin,
    Store,
    TimeoutException,
    Unshareable,
    Version,
)
from ._factor import Factor
from ._objects import attributes, open, retrieve
from ._once import Cached, cache, decorator, free, list_cached, valid_id

# Not `open`: `from cowshed import *` must leave Python's own alone.
__all__ = [
    "cache",
    "decorator",
    "valid_id",
    "TimeoutException",
    "free",
    "list_cached",
    "Cached",
    "retrieve",
    "attributes",
    "Factor",
    "NA_INTEGER",
    "Argument",
    "Corrupt",
    "Error",
    "Exists",
    "Full",
    "Gone",
    "Machine",
    "Memory",
    "Plugin",
    "Store",
    "Unshareable",
    "Version",
]
