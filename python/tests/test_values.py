"""What comes back: arrays of every dtype, and tuples, lists and dicts of them."""

import datetime
import os
import pickle

import numpy as np
import pytest
from conftest import names

import cowshed

ARRAYS = {
    **{name: np.arange(24).reshape(2, 3, 4).astype(name) for name in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")},
    "longdouble": np.arange(3).astype(np.longdouble),
    "bool": np.array([[True, False], [False, False]]),
    "big-endian": np.arange(5, dtype=">f8"),
    "big-endian int": np.arange(6, dtype=">i4").reshape(2, 3),
    "datetime64": np.array(["2020-02-29", "NaT"], "datetime64[ns]"),
    "timedelta64": np.array([1, -1], "timedelta64[us]"),
    "str": np.array(["", "a", "äöü", "日本"]),
    "bytes": np.array([b"", b"ab", b"abc"]),
    "structured": np.array([(1, 2.5, "x"), (3, 4.5, "yz")], dtype=[("a", "<i4"), ("b", ">f8"), ("c", "<U4")]),
    "nested": np.zeros(2, dtype=[("p", [("x", "f4"), ("y", "f4", (2, 2))])]),
    "field names": np.zeros(2, dtype=[("größe", "f4"), ("日", "i2")]),
    "aligned": np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "many fields": np.zeros(1, dtype=[(f"field-number-{i}", "f4") for i in range(200)]),
    "void": np.zeros(2, "V5"),
    "empty": np.zeros((0, 3)),
    "empty 1": np.zeros(0, "i4"),
    "no extents": np.array(7.5),
    "Fortran": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "strided": np.arange(20)[::2],
    "backwards": np.arange(20)[::-3],
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
    "read-only": np.frombuffer(b"12345678", "u1"),
    "long": np.arange(200_000.0),
}


def same(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_as_numpy_would_map_it(shm, name):
    array = ARRAYS[name]
    made = cowshed.cache("x", array, shm_path=shm, verbose=False)
    found = cowshed.cache("x", shm_path=shm, verbose=False)
    for a in (made, found):
        same(a, array)
        assert type(a) is np.memmap and not a.flags.writeable and not a.flags.owndata
    assert names(shm) == ["sharearray_x.npy"]
    # As numpy itself reads it.
    path = os.path.join(shm, "sharearray_x.npy")
    same(np.load(path), array)
    same(cowshed.open(path), array)
    if name == "Fortran":
        assert found.flags.f_contiguous


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_in_a_tuple_comes_back_the_same(shm, name):
    array = ARRAYS[name]
    (back, _) = cowshed.cache("x", lambda: (array, 0), shm_path=shm, verbose=False)
    if array.shape == ():
        assert type(back) is float and back == 7.5
        return
    same(back, array)
    assert type(back) is np.ndarray and not back.flags.writeable and not back.flags.owndata
    with pytest.raises(ValueError):
        back.flags.writeable = True
    if name == "Fortran":
        assert back.flags.f_contiguous and not back.flags.c_contiguous
    if back.nbytes >= 1024:
        assert back.ctypes.data % 64 == 0


SCALARS = [
    True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 0.0, -0.0, 1.5, float("inf"), 5e-324, 1j, complex(1, -2), "", "text", "äöü日", "in\0side",
    b"", b"bytes", b"ends\0", b"\0", b"\xff\0\xff", None,
]  # fmt: skip


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_a_scalar_comes_back_as_pythons_own(shm, scalar):
    back = cowshed.cache("x", lambda: [scalar], shm_path=shm, verbose=False)[0]
    assert type(back) is type(scalar) and repr(back) == repr(scalar)


def test_nan_and_numpys_scalars_come_back(shm):
    when = np.datetime64("2020-01-01T00:00:00.000000001")
    values = [float("nan"), np.float32(1.5), np.int8(-3), np.bool_(True), np.str_("s"), when, np.timedelta64(3, "s")]
    nan, single, small, true, text, time, delta = cowshed.cache("x", lambda: values, shm_path=shm, verbose=False)
    assert nan != nan
    assert (single, small, true, text) == (1.5, -3, True, "s") and type(small) is int
    assert time == when and time.dtype == when.dtype and delta == np.timedelta64(3, "s")


def equal(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        a, b = list(a.values()), list(b.values())
    if isinstance(a, (tuple, list)):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            equal(x, y)
    elif isinstance(a, np.ndarray):
        same(a, b)
    else:
        assert a == b


STRUCTURES = [
    (),
    [],
    {},
    (np.arange(3), np.zeros((2, 2))),
    {"x": np.arange(3), "y": {"z": [1, "two", 3.0, None, b"4"], "": ()}, "ä": [{}, [], ()]},
    [[[[]]], ({},), {"a": ()}],
    {"none": None, "nested": (None, [None], {"n": None})},
    [np.arange(100_000.0), {"i": np.arange(1000, dtype="i4")}],
    [(i, str(i)) for i in range(2000)],
]


@pytest.mark.parametrize("value", STRUCTURES, ids=lambda value: repr(value)[:30])
def test_tuples_lists_and_dicts_come_back_as_they_were(shm, value):
    said = []
    equal(cowshed.cache("x", lambda: value, shm_path=shm, log_func=said.append), value)
    assert said[-1] == "'x': returning memmapped view." and names(shm) == ["sharearray_x.cow"]
    equal(cowshed.cache("x", shm_path=shm, verbose=False), value)
    equal(cowshed.open(os.path.join(shm, "sharearray_x.cow")), value)


def test_an_object_met_twice_is_written_once(shm):
    big = np.arange(100_000.0)
    a, b, c = cowshed.cache("x", lambda: (big, big, {"again": big}), shm_path=shm, verbose=False)
    assert os.path.getsize(os.path.join(shm, "sharearray_x.cow")) < 1.2 * big.nbytes
    assert a.ctypes.data == b.ctypes.data == c["again"].ctypes.data


def test_views_hold_the_memory_and_lists_are_the_callers_own(shm):
    first = cowshed.cache("x", lambda: [np.arange(1000), "s"], shm_path=shm, verbose=False)
    second = cowshed.cache("x", shm_path=shm, verbose=False)
    first[1] = "changed"
    assert second[1] == "s"
    array = first[0]
    part = array[10:20]
    del first, second, array
    cowshed.free("x", shm_path=shm)
    assert part.sum() == 145


@pytest.mark.parametrize(
    "value, named",
    [
        ([object()], "object"),
        ([{1, 2}], "set"),
        ([datetime.date(2020, 1, 1)], "datetime.date"),
        ([2**64], "65 bits"),
        ([-(2**63) - 1], "64 bits"),
        (["ends\0"], "NUL"),
        ([np.array([None])], "Python objects"),
        ([np.zeros(1, dtype=[(f"field-{i}", "f4") for i in range(4000)])], "so many fields"),
        ([np.ma.masked_array([1], [True])], "mask"),
        ({1: 2}, "key 1"),
        ({"a\0b": 2}, "key 'a"),
        ({"a": {None: 1}}, "key None"),
    ],
    ids=repr,
)
def test_what_cannot_be_shared_is_named_and_leaves_nothing(shm, value, named):
    with pytest.raises(cowshed.Unshareable, match=named):
        cowshed.cache("x", lambda: value, shm_path=shm, verbose=False)
    assert names(shm) == []


def test_what_contains_itself_or_is_very_deep_is_an_error(shm):
    endless = []
    endless.append(endless)
    deep = []
    for _ in range(5000):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(cowshed.Unshareable, match="1200 levels"):
            cowshed.cache("x", lambda: value, shm_path=shm, verbose=False)
    fits = []
    for _ in range(1100):
        fits = [fits]
    back = cowshed.cache("x", lambda: fits, shm_path=shm, verbose=False)
    for _ in range(1100):
        (back,) = back
    assert back == []


def test_subclasses_that_would_come_back_as_something_else_are_refused(shm):
    import collections

    pair = collections.namedtuple("pair", "a b")
    for value in (pair(1, 2), collections.OrderedDict(a=1)):
        with pytest.raises(cowshed.Unshareable):
            cowshed.cache("x", lambda: [value], shm_path=shm, verbose=False)


def test_what_is_shared_can_be_pickled_by_value(shm):
    array = cowshed.cache("x", np.arange(3), shm_path=shm, verbose=False)
    inner = cowshed.cache("y", lambda: [np.arange(3)], shm_path=shm, verbose=False)[0]
    for a in (array, inner):
        back = pickle.loads(pickle.dumps(a))
        assert (back == [0, 1, 2]).all() and back.flags.writeable
    factor = cowshed.Factor(np.array([1], "i4"), np.array(["a"], object))
    assert list(np.asarray(pickle.loads(pickle.dumps(factor)))) == ["a"]


def test_a_factor_is_its_levels_by_its_codes():
    factor = cowshed.Factor(np.array([2, cowshed.NA_INTEGER, 1], "i4"), np.array(["a", "b"], object))
    assert list(np.asarray(factor)) == ["b", None, "a"] and len(factor) == 3
    assert list(np.asarray(cowshed.Factor(np.zeros(0, "i4"), np.array([], object)))) == []
    for code in (0, 3, -1):
        with pytest.raises(ValueError, match="none of its levels"):
            np.asarray(cowshed.Factor(np.array([code], "i4"), np.array(["a", "b"], object)))


def test_a_full_directory_is_an_error_and_leaves_nothing(shm, child):
    # A limit of the process, because a test cannot fill the machine's memory.
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
for make in (lambda: np.zeros(1 << 20), lambda: (np.zeros(1 << 20),)):
    try:
        cowshed.cache("x", make, shm_path=shm, verbose=False)
    except OSError as error:
        print(type(error).__name__)
print(os.listdir(shm))
"""
    status, out, err = child(code).end()
    assert status == 0, err
    assert len(out.splitlines()) == 3 and out.splitlines()[2] == "[]"


def test_errors_have_their_message_and_travel_between_processes():
    kinds = {
        cowshed.Gone: (KeyError, FileNotFoundError),
        cowshed.Corrupt: (ValueError,),
        cowshed.Full: (OSError,),
        cowshed.Unshareable: (TypeError, ValueError),
        cowshed.Argument: (ValueError,),
        cowshed.TimeoutException: (TimeoutError,),
        cowshed.Exists: (FileExistsError,),
        cowshed.Store: (OSError,),
        cowshed.Memory: (MemoryError,),
        cowshed.Machine: (cowshed.Gone,),
        cowshed.Version: (ValueError,),
        cowshed.Plugin: (),
    }
    for kind, others in kinds.items():
        error = kind("what is 'wrong'")
        assert isinstance(error, (cowshed.Error, RuntimeError)) and all(isinstance(error, other) for other in others)
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is kind and str(error) == str(back) == "what is 'wrong'"
