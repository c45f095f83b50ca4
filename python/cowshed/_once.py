"""Objects made once per machine, by whoever asks first."""

from __future__ import annotations

import errno
import functools
import os
import warnings
from typing import Any, Callable, NamedTuple, Optional, TypeVar, Union, overload

import numpy as np

from . import _arrays, _cowshed
from ._errors import Corrupt, Exists, Full, Gone, Store

_T = TypeVar("_T")
_Path = Union[str, "os.PathLike[str]"]
_Log = Optional[Callable[[str], Any]]

_SHM_PATH = "/dev/shm"
_PREFIX = "sharearray_"


class _Nothing:
    def __repr__(self) -> str:
        return "<nothing>"


_NOTHING: Any = _Nothing()


def valid_id(id: str) -> bool:
    """Whether a string can be an id: one or more of `A-Z a-z 0-9 = + . _ -`, and nothing else.

    Examples:
        >>> from cowshed import valid_id
        >>> valid_id("run-1.train"), valid_id("a/b"), valid_id("a\\n"), valid_id("")
        (True, False, False, False)
    """
    return _cowshed.valid_id(id)


@overload
def cache(
    id: str,
    array_or_callback: np.ndarray,
    shm_path: _Path = ...,
    prefix: str = ...,
    timeout: float = ...,
    verbose: bool = ...,
    log_func: _Log = ...,
) -> np.memmap: ...


@overload
def cache(
    id: str,
    array_or_callback: Callable[[], _T],
    shm_path: _Path = ...,
    prefix: str = ...,
    timeout: float = ...,
    verbose: bool = ...,
    log_func: _Log = ...,
) -> _T: ...


@overload
def cache(
    id: str,
    *,
    shm_path: _Path = ...,
    prefix: str = ...,
    timeout: float = ...,
    verbose: bool = ...,
    log_func: _Log = ...,
) -> Any: ...


def cache(
    id: str,
    array_or_callback: Any = _NOTHING,
    shm_path: _Path = _SHM_PATH,
    prefix: str = _PREFIX,
    timeout: float = -1,
    verbose: bool = True,
    log_func: _Log = None,
) -> Any:
    """The object with this id: made by the first process of the machine that asks, found by all others, in one copy for all.

    The first one writes its array to `<shm_path>/<prefix><id>.npy` (a tuple, list or dict to `.cow`), where it stays until it is freed. Whoever asks while it is
    being made waits; if its maker fails or is killed, one of those who wait makes it.

    Args:
        id: the same in all processes. `valid_id` tells what it may be.
        array_or_callback: an array of any dtype that numpy saves without pickle; or a function without arguments that returns one, or a tuple, list or dict
            (whose keys are strings) of arrays, numbers, strings, bytes, `None`, and of such tuples, lists and dicts. It is called only in
            the process that makes the object. Without it the object is opened, or waited for, and never made.
        shm_path: a directory, in memory if it is to be fast.
        prefix: what the files' names begin with.
        timeout: seconds to wait for another process that is making it, also parts of one; negative: as long as it takes.
        verbose: whether to say what happens, in two or three lines.
        log_func: what is given these lines in place of `print`.

    Returns:
        A read-only `numpy.memmap`, of the shape, dtype and order of the array. For tuples, lists and dicts the same, new in each call: their arrays are
        read-only views, and scalars Python's own (an array without extents comes back as one).

    Raises:
        ValueError: `id` is none, or `array_or_callback` or what it returned is nothing that can be shared (then also `Unshareable`); or the
            callback asks for its own id (`Argument`).
        TimeoutException: the time is over.
        Gone: there is none, and nothing to make it of; it is a `KeyError`.
        Full: no room.
        Corrupt: the file is no such object.
        Store: the directory cannot be used.

    What the callback raises passes through. Waiting takes no processor time, lets other threads run, and heeds Ctrl-C.

    Examples:
        >>> import cowshed, numpy as np
        >>> a = cowshed.cache("doc-a", lambda: np.arange(6.0).reshape(2, 3))
        'doc-a' doesn't exist yet. Locking and creating...
        'doc-a': written.
        'doc-a': returning memmapped view.
        >>> a.shape, a.flags.writeable
        ((2, 3), False)
        >>> x, y = cowshed.cache("doc-xy", lambda: (np.zeros(3), "labels"), verbose=False)
        >>> y
        'labels'
        >>> cowshed.free("doc-a"); cowshed.free("doc-xy")
    """
    _check_id(id)
    makes = array_or_callback is not _NOTHING
    if makes and not (isinstance(array_or_callback, np.ndarray) or callable(array_or_callback)):
        raise ValueError("array_or_callback should be ndarray or zero-argument callable")
    if timeout != timeout:
        raise ValueError("timeout should be a number of seconds, not nan")
    say = _sayer(verbose, log_func)
    where = (os.path.abspath(shm_path), prefix, id)

    def waiting() -> None:
        how_long = "Waiting indefinitely... (timeout < 0)" if timeout < 0 else f"Waiting up to {timeout} seconds..."
        say(f"'{id}' is being created by another process. {how_long}")

    while True:
        found = _enter(where, timeout, waiting, makes)
        if not isinstance(found, str):
            with found as maker:
                say(f"'{id}' doesn't exist yet. Locking and creating...")
                made = _made(array_or_callback)
                try:
                    found = _write(maker, made, where)
                except Exists:
                    # Somebody freed our lock, and another made it meanwhile.
                    continue
                del made
                say(f"'{id}': written.")
        try:
            value = _open(found)
        except (Gone, FileNotFoundError):
            # Freed meanwhile.
            continue
        say(f"'{id}': returning memmapped view.")
        return value


def decorator(id: str, **kwargs: Any) -> Callable[[Callable[[], _T]], Callable[[], _T]]:
    """`cache` for a function without arguments: it is called once per machine, and what it returned is had from memory ever after.

    Args:
        id: as for `cache`.
        **kwargs: the other arguments of `cache`.

    Returns:
        What makes such a function of a function.

    Raises:
        ValueError: `id` is none; at once, not when the function is called.

    Examples:
        >>> import cowshed, numpy as np
        >>> @cowshed.decorator("doc-decorated", verbose=False)
        ... def training_data():
        ...     return np.ones(3)
        >>> float(training_data().sum())
        3.0
        >>> cowshed.free("doc-decorated")
    """
    _check_id(id)

    def decorate(function: Callable[[], _T]) -> Callable[[], _T]:
        @functools.wraps(function)
        def wrapped() -> _T:
            return cache(id, function, **kwargs)

        return wrapped

    return decorate


def free(id: str, shm_path: _Path = _SHM_PATH, prefix: str = _PREFIX) -> None:
    """Removes an object. Who has it keeps it; the next who asks for it makes it anew. If there is none, nothing happens.

    A lock is removed too, with the warning "lock still exists": somebody was making the object.

    Raises:
        ValueError: `id` is none.
        Store: the file is another user's, for instance.

    Examples:
        >>> import cowshed
        >>> cowshed.free("never-made")
    """
    _check_id(id)
    lock, _ = _cowshed.free(os.path.abspath(shm_path), prefix, id)
    if lock:
        warnings.warn("lock still exists", stacklevel=2)


class Cached(NamedTuple):
    """An id that is made, or being made.

    Attributes:
        id: the id.
        path: its file; `None` as long as it is being made.
        nbytes: the file's size in bytes; 0 if there is none.
        modified: seconds since 1970; of the lock, if there is no file.
        uid: the user whose it is.
        lock: `None`, "held" (somebody makes it), "left" (whoever did is dead: the next who asks makes it), or "foreign" (the original sharearray's:
            nobody can tell).
        pid: of who makes it, if it can be told.
    """

    id: str
    path: Optional[str]
    nbytes: int
    modified: int
    uid: int
    lock: Optional[str]
    pid: Optional[int]


def list_cached(shm_path: _Path = _SHM_PATH, prefix: str = _PREFIX) -> list[Cached]:
    """All objects in a directory, those that are being made included, in the order of their ids.

    Raises:
        Store: the directory cannot be read.

    Examples:
        >>> import cowshed, numpy as np
        >>> _ = cowshed.cache("doc-listed", np.zeros(8), prefix="doc_", verbose=False)
        >>> [(entry.id, entry.nbytes, entry.lock) for entry in cowshed.list_cached(prefix="doc_")]
        [('doc-listed', 192, None)]
        >>> cowshed.free("doc-listed", prefix="doc_")
    """
    return [Cached(*entry) for entry in _cowshed.list_cached(os.path.abspath(shm_path), prefix)]


def _check_id(id: str) -> None:
    if not valid_id(id):
        raise ValueError("invalid id: " + id)


def _sayer(verbose: bool, log_func: _Log) -> Callable[[str], Any]:
    if not verbose:
        return lambda line: None
    return log_func or print


def _enter(where: tuple[str, str, str], timeout: float, waiting: Callable[[], None], makes: bool) -> Union[str, _cowshed.Maker]:
    """The path of the object, or the right to make it."""
    shm_path, prefix, id = where
    if not makes:
        # No lock is made by who makes nothing.
        path = _cowshed.find(*where)
        if path is not None:
            return path
        if not os.path.lexists(os.path.join(shm_path, f"{prefix}{id}.npy.lock")):
            raise _none(where)
    found = _cowshed.enter(*where, timeout, waiting)
    if isinstance(found, str) or makes:
        return found
    found.release()
    raise _none(where)


def _none(where: tuple[str, str, str]) -> Gone:
    shm_path, _, id = where
    return Gone(f"there is no '{id}' in '{shm_path}'; make it: cache('{id}', callback)")


def _made(array_or_callback: Any) -> Any:
    if isinstance(array_or_callback, np.ndarray):
        return array_or_callback
    made = array_or_callback()
    if not isinstance(made, np.ndarray) and type(made) not in (tuple, list, dict):
        raise ValueError("callback did not return a numpy.ndarray, returned:", type(made))
    return made


def _write(maker: _cowshed.Maker, value: Any, where: tuple[str, str, str]) -> str:
    if not isinstance(value, np.ndarray):
        return maker.share(value)
    _arrays.check(value)
    with os.fdopen(maker.new_array(value.nbytes), "wb") as file:
        try:
            np.save(file, value, allow_pickle=False)
            file.flush()
        except OSError as error:
            free = os.fstatvfs(file.fileno())
            free_bytes = free.f_bavail * free.f_frsize
            # Numpy tells how much it could not write, not why.
            if error.errno in (errno.ENOSPC, errno.EDQUOT) or free_bytes < value.nbytes:
                raise Full(
                    f"no room for {value.nbytes} bytes in '{where[0]}': {free_bytes} bytes are free; free what is no longer needed "
                    "(cowshed.free()), enlarge it (docker run --shm-size, or mount -o remount,size=), or choose another shm_path"
                ) from error
            raise
    return maker.commit()


def _open(path: str) -> Any:
    return mapped(path) if path.endswith(".npy") else _cowshed.open(path, True)


def mapped(path: str) -> np.memmap:
    """The array in a `.npy` file, mapped read-only.

    Raises:
        Corrupt: it is none.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Store(f"'{path}' cannot be opened ({error.strerror}); check what it is, and who may read it") from error
    # Which exceptions damaged headers raise depends on numpy's version.
    except Exception as error:
        raise Corrupt(f"'{path}' is no array that can be mapped ({error}); free it, and make it again") from error
