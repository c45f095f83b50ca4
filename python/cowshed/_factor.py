"""R's factors."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

NA_INTEGER = -(2**31)


class Factor:
    """A factor of R's: a vector of codes, each the number of a level.

    Attributes:
        codes: `int32`, a read-only view; level 1 is the first, `NA_INTEGER` is a missing value.
        levels: an array of `str`.

    Examples:
        >>> import numpy as np
        >>> from cowshed import Factor
        >>> f = Factor(np.array([1, 2, 1], "int32"), np.array(["low", "high"], object))
        >>> np.asarray(f)
        array(['low', 'high', 'low'], dtype=object)
        >>> len(f)
        3
    """

    __slots__ = ("codes", "levels")

    def __init__(self, codes: np.ndarray, levels: np.ndarray) -> None:
        self.codes = codes
        self.levels = levels

    def __len__(self) -> int:
        return len(self.codes)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        """The level of each element, an array of objects as long as the codes: `str`, or `None` for a missing value.

        Raises:
            ValueError: a code is none of a level; or `copy=False`, since the strings are made here.
        """
        if copy is False:
            raise ValueError("a factor's strings are made when it becomes an array; they cannot be had without a copy")
        missing = self.codes == NA_INTEGER
        if np.any(((self.codes < 1) | (self.codes > len(self.levels))) & ~missing):
            raise ValueError("a factor has a code that is none of its levels")
        table = np.empty(len(self.levels) + 1, object)
        table[1:] = self.levels
        values = table[np.where(missing, 0, self.codes)]
        return values if dtype is None else values.astype(dtype)

    def __repr__(self) -> str:
        return f"Factor(codes={self.codes!r}, levels={self.levels!r})"
