"""What of numpy's arrays is easier said in Python: arrays of objects, and images of .npy files."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np

from ._errors import Corrupt, Unshareable

_MAGIC_LEN = np.lib.format.MAGIC_LEN
# A header longer than that is not believed: parsing it takes time and memory.
_LONGEST = 1 << 20


def objects(values: list[Any]) -> np.ndarray:
    """An array of these objects, of one extent."""
    array = np.empty(len(values), object)
    # Not array[:] = values, which would look into values that are sequences.
    for i, value in enumerate(values):
        array[i] = value
    return array


def opened(image: np.ndarray) -> Any:
    """The array whose .npy image these bytes are: a read-only view of them. One without extents is a Python scalar.

    Args:
        image: bytes, an array of `uint8` of one extent.

    Raises:
        Corrupt: they are not such an image.
    """
    start = image[:_MAGIC_LEN].tobytes()
    width = {(1, 0): 2, (2, 0): 4, (3, 0): 4}.get((start[6], start[7])) if len(start) == _MAGIC_LEN else None
    if width is None or start[:6] != b"\x93NUMPY":
        raise _corrupt("it does not begin as an array")
    length = int.from_bytes(image[_MAGIC_LEN : _MAGIC_LEN + width].tobytes(), "little")
    end = _MAGIC_LEN + width + length
    if end > min(image.size, _LONGEST):
        raise _corrupt("its header was cut")
    shape, order, dtype = _header(image[:end].tobytes())
    try:
        array: np.ndarray = np.ndarray(shape, dtype, buffer=image, offset=end, order=order)
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise _corrupt(str(error)) from error
    if array.nbytes != image.size - end:
        raise _corrupt("its length does not fit its shape")
    return array if array.shape else scalar(array)


def scalar(array: np.ndarray) -> Any:
    """What an array without extents holds: a Python number, `str` or `bytes`; of other types numpy's scalar."""
    return array[()] if array.dtype.kind in "mM" or array.dtype.names else array.item()


@functools.lru_cache(maxsize=1024)
def _header(header: bytes) -> tuple[tuple[int, ...], str, np.dtype]:
    stream = io.BytesIO(header)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except Exception as error:
        raise _corrupt(str(error)) from error
    if dtype.hasobject:
        raise _corrupt("its elements are Python objects")
    return shape, "F" if fortran else "C", dtype


def _corrupt(why: str) -> Corrupt:
    return Corrupt(f"an array in a shared object is corrupt ({why}); free it, and make it again")


_ = Unshareable
