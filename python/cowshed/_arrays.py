"""What of numpy's arrays is easier said in Python: which can be shared, arrays of objects, and images of .npy files."""

from __future__ import annotations

import ast
import functools
from typing import Any, Literal

import numpy as np

from ._errors import Corrupt, Unshareable

_MAGIC_LEN = np.lib.format.MAGIC_LEN
# Numpy reads no longer header, because parsing one takes time and memory.
_LONGEST = 10_000
# Of the data, within the image.
_ALIGN = 64


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
    if end > image.size or length > _LONGEST:
        raise _corrupt("its header was cut, or is too long")
    encoding = "utf8" if start[6] == 3 else "latin1"
    shape, order, dtype = _header(image[_MAGIC_LEN + width : end].tobytes(), encoding)
    try:
        array: np.ndarray = np.ndarray(shape, dtype, buffer=image, offset=end, order=order)
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise _corrupt(str(error)) from error
    if array.nbytes != image.size - end:
        raise _corrupt("its length does not fit its shape")
    return array if array.shape else _scalar(array)


def _scalar(array: np.ndarray) -> Any:
    """What an array without extents holds: a Python number, `str` or `bytes`; of other types numpy's scalar."""
    try:
        return array[()] if array.dtype.kind in "mM" or array.dtype.names else array.item()
    except (SystemError, ValueError) as error:
        raise _corrupt(f"its text is none: {error}") from error


@functools.lru_cache(maxsize=1024)
def _header(text: bytes, encoding: str) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    try:
        header = ast.literal_eval(text.decode(encoding))
        shape, fortran = header["shape"], header["fortran_order"]
        dtype = np.lib.format.descr_to_dtype(header["descr"])
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError, RecursionError, MemoryError) as error:
        raise _corrupt(f"its header is none: {error}") from error
    if not isinstance(fortran, bool) or not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise _corrupt("its header is none")
    if dtype.hasobject:
        raise _corrupt("its elements are Python objects")
    return shape, "F" if fortran else "C", dtype


def _corrupt(why: str) -> Corrupt:
    return Corrupt(f"an array in a shared object is corrupt ({why}); free it, and make it again")



def image(value: Any) -> tuple[bytes, np.ndarray, int]:
    """The header of a .npy image of an array, number or string, an array of its bytes as they follow, and its elements.

    Raises:
        Unshareable: numpy saves no such value without pickle, or not as it is.
    """
    if not isinstance(value, (np.ndarray, np.generic)):
        value = _of_scalar(value)
    array = np.asanyarray(value)
    check(array)
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    if not fortran:
        # Not ascontiguousarray, which gives an array without extents one.
        array = np.asarray(array, order="C")
    return _written(array.dtype, fortran, array.shape), array, array.size


def check(array: np.ndarray) -> None:
    """An error if numpy does not save all of an array without pickle.

    Raises:
        Unshareable: its elements are Python objects, or it has a mask, or thousands of fields.
    """
    if array.dtype.hasobject:
        why = "an array of Python objects cannot be shared; give it a dtype of numbers or of strings of one length (astype())"
        raise Unshareable(why)
    if isinstance(array, np.ma.MaskedArray):
        raise Unshareable("an array with a mask cannot be shared; share its data and its mask (a tuple), or filled()")
    if array.dtype.names and len(_written(array.dtype, False, array.shape)) > _LONGEST:
        raise Unshareable("an array of so many fields cannot be shared: its header would be longer than numpy reads; split it")


def _of_scalar(value: Any) -> np.ndarray:
    kind = type(value)
    if kind in (bool, float, complex):
        return np.asarray(value)
    if kind is int:
        array = np.asarray(value)
        if array.dtype.kind in "iu":
            return array if array.dtype.itemsize == 8 else array.astype(np.int64)
        raise Unshareable(f"an int of {value.bit_length()} bits cannot be shared; 64 is the most")
    if kind is str:
        if value.endswith("\0"):
            raise Unshareable("a str that ends in NUL cannot be shared: numpy would forget the end; share it as bytes")
        return np.asarray(value)
    if kind is bytes:
        # Of this type numpy keeps NULs at the end.
        return np.asarray(np.void(value)) if value.endswith(b"\0") else np.asarray(value)
    raise Unshareable(
        f"an object of class {kind.__module__}.{kind.__qualname__} cannot be shared; share arrays, numbers, strings, bytes and None, "
        "in tuples, lists and dicts"
    )


@functools.lru_cache(maxsize=1024)
def _written(dtype: np.dtype[Any], fortran: bool, shape: tuple[int, ...]) -> bytes:
    descr = np.lib.format.dtype_to_descr(dtype)
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran!r}, 'shape': {shape!r}, }}"
    # As numpy chooses: names of fields may be any text from version 3.0 on.
    try:
        encoded, version = text.encode("latin1"), (1, 0)
    except UnicodeEncodeError:
        encoded, version = text.encode("utf8"), (3, 0)
    if version == (1, 0) and len(encoded) + _ALIGN > 0xFFFF:
        version = (2, 0)
    width = 2 if version == (1, 0) else 4
    padding = -(_MAGIC_LEN + width + len(encoded) + 1) % _ALIGN
    encoded += b" " * padding + b"\n"
    return b"\x93NUMPY" + bytes(version) + len(encoded).to_bytes(width, "little") + encoded
