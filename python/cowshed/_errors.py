"""The exceptions: one class for each word by which cowshed classes its errors."""

from __future__ import annotations

import errno


class Error(RuntimeError):
    """Something cowshed could not do. The message says what, on which object, and what to do about it.

    Examples:
        >>> import cowshed
        >>> try:
        ...     cowshed.open("/no/such/file")
        ... except cowshed.Error as error:
        ...     print(type(error).__name__)
        Gone
    """

    # Whatever else a subclass is, its message is not quoted as a KeyError's.
    __str__ = RuntimeError.__str__


class Gone(Error, KeyError, FileNotFoundError):
    """The object is not there: never made, freed, or its last holder has ended."""


class Machine(Gone):
    """It is in the memory of another machine, or of this one before it was started."""


class Corrupt(Error, ValueError):
    """Its bytes are not those that were written."""


class Version(Error, ValueError):
    """It was written by another version of cowshed, or in another byte order."""


class Exists(Error, FileExistsError):
    """The name is somebody's."""


class Full(Error, OSError):
    """No room for it; `errno` is `ENOSPC`."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.errno = errno.ENOSPC


class Store(Error, OSError):
    """The directory or file cannot be used."""


class Memory(Error, MemoryError):
    """Memory or mappings ran out."""


class Unshareable(Error, TypeError, ValueError):
    """An object that Python or R has nothing for."""


class Plugin(Error):
    """What opens it comes with another package, which Python does not have."""


class Argument(Error, ValueError):
    """What was asked for cannot be meant: an id that is none, or one that is asked for by what makes it."""


class TimeoutException(Error, TimeoutError):
    """Another process was not done making an object in the time given."""


_CLASSES: dict[str, type[Error]] = {
    "gone": Gone,
    "machine": Machine,
    "corrupt": Corrupt,
    "version": Version,
    "exists": Exists,
    "full": Full,
    "store": Store,
    "memory": Memory,
    "unshareable": Unshareable,
    "plugin": Plugin,
    "argument": Argument,
    "timeout": TimeoutException,
}


def error(word: str, message: str) -> Error:
    """The exception of a class that the library names by a word."""
    return _CLASSES.get(word, Error)(message)
