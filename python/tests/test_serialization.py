"""R's serialization, read by hand-made streams: what it may be, and that damaged ones are errors."""

import random
import struct

import numpy as np
import pytest

import cowshed
from cowshed import _cowshed

NULL = 254
OBJECT, ATTRIBUTES, TAG = 1 << 8, 1 << 9, 1 << 10


class Writer:
    """R's serialization of version 3, as `serialize.c` writes it."""

    def __init__(self, xdr=False, version=3, encoding=b"UTF-8"):
        self.order = ">" if xdr else "<"
        self.out = bytearray(b"X\n" if xdr else b"B\n")
        self.int(version, 0x40202, 0x30500 if version == 3 else 0x20300)
        if version == 3:
            self.int(len(encoding))
            self.out += encoding
        self.symbols = []

    def int(self, *ints):
        for i in ints:
            self.out += struct.pack(self.order + "I", i & 0xFFFFFFFF)
        return self

    def char(self, text, bits=1 << 3):
        if text is None:
            return self.int(9, -1)
        text = text if isinstance(text, bytes) else text.encode()
        self.int(9 | bits << 12, len(text))
        self.out += text
        return self

    def known(self):
        """What follows is one that is written once, and no symbol."""
        self.symbols.append(None)
        return self

    def symbol(self, name):
        if name in self.symbols:
            return self.int((self.symbols.index(name) + 1) << 8 | 255)
        self.symbols.append(name)
        return self.int(1).char(name)

    def ints(self, values, flags=0, type=13):
        return self.int(type | flags, len(values), *values)

    def doubles(self, values, flags=0, type=14):
        self.int(type | flags, len(values) // (2 if type == 15 else 1))
        self.out += struct.pack(f"{self.order}{len(values)}d", *values)
        return self

    def strings(self, values, flags=0):
        self.int(16 | flags, len(values))
        for value in values:
            self.char(value)
        return self

    def attributes(self, **values):
        """Each a function that writes the value."""
        for name, write in values.items():
            self.int(2 | TAG).symbol(name)
            write(self)
        return self.int(NULL)

    def altrep(self, class_, package, state, **attributes):
        self.int(238, 2).symbol(class_).int(2).symbol(package).int(2).ints([13]).int(NULL)
        state(self)
        return self.attributes(**attributes) if attributes else self.int(NULL)

    def read(self):
        return _cowshed.unserialize(bytes(self.out))


@pytest.mark.parametrize("xdr", [False, True])
@pytest.mark.parametrize("version", [2, 3])
def test_vectors_of_all_types_are_arrays_of_their_types(xdr, version):
    def new():
        return Writer(xdr, version)

    assert new().int(NULL).read() is None
    for array, values, dtype in (
        (new().ints([1, -2, cowshed.NA_INTEGER]).read(), [1, -2, -(2**31)], "i4"),
        (new().doubles([1.5, -0.0, float("inf")]).read(), [1.5, -0.0, float("inf")], "f8"),
        (new().doubles([1, 2, 3, 4], type=15).read(), [1 + 2j, 3 + 4j], "c16"),
        (new().ints([1, 0, 1], type=10).read(), [True, False, True], "?"),
        (new().ints([1, 0, cowshed.NA_INTEGER], type=10).read(), [1, 0, -(2**31)], "i4"),
        (new().strings(["a", None, "ä", ""]).read(), ["a", None, "ä", ""], "O"),
        (new().ints([]).read(), [], "i4"),
    ):
        assert array.dtype == np.dtype(dtype) and list(array) == values
        assert not array.flags.writeable
    raw = new().int(24, 3)
    raw.out += b"\x00\x7f\xff"
    assert list(raw.read()) == [0, 127, 255]
    long = new().int(13, -1, 0, 2, 5, 6)
    assert list(long.read()) == [5, 6]


def test_strings_have_the_encoding_they_are_marked_with():
    def one(bytes_, bits, encoding=b"UTF-8"):
        return Writer(encoding=encoding).int(16, 1).char(bytes_, bits).read()[0]

    assert one("ä".encode(), 1 << 3) == "ä" and one(b"\xe4", 1 << 2) == "ä" and one(b"\xe4", 1 << 1) == b"\xe4"
    assert one("ä".encode(), 0) == "ä" and one(b"\xe4", 0, b"ISO-8859-1") == "ä" and one(b"a", 1 << 6) == "a"
    assert one(b"\xe4", 0).encode("utf-8", "surrogateescape") == b"\xe4"


def test_lists_are_lists_dicts_or_what_python_wrote():
    def two(writer):
        return writer.ints([1]).strings(["x"])

    plain = two(Writer().int(19, 2)).read()
    assert type(plain) is list and plain[0][0] == 1 and plain[1][0] == "x"
    named = two(Writer().int(19 | ATTRIBUTES, 2)).attributes(names=lambda w: w.strings(["b", "a"])).read()
    assert type(named) is dict and list(named) == ["b", "a"]
    tupled = two(Writer().int(19 | ATTRIBUTES, 2)).attributes(python=lambda w: w.strings(["tuple"])).read()
    assert type(tupled) is tuple and len(tupled) == 2
    assert Writer().int(19, 0).read() == [] and Writer().int(19, 1).int(NULL).read() == [None]
    with pytest.raises(cowshed.Unshareable, match="two elements of the name 'a'"):
        two(Writer().int(19 | ATTRIBUTES, 2)).attributes(names=lambda w: w.strings(["a", "a"])).read()


def test_extents_and_attributes_are_an_arrays():
    def matrix(*dim):
        attributes = {"dim": lambda w: w.ints(dim), "note": lambda w: w.strings(["x"]), "call": lambda w: w.int(6).symbol("f").int(NULL)}
        return Writer().ints([1, 2, 3, 4, 5, 6], ATTRIBUTES).attributes(**attributes)

    array = matrix(2, 3).read()
    assert array.shape == (2, 3) and array.flags.f_contiguous and array.tolist() == [[1, 3, 5], [2, 4, 6]]
    found = cowshed.attributes(array)
    assert list(found) == ["dim", "note", "call"] and list(found["dim"]) == [2, 3] and found["note"][0] == "x"
    assert isinstance(found["call"], cowshed.Unshareable)
    assert cowshed.attributes(array[:1]) == {}
    for wrong in ((2, 2), (-2, -3), (6, 1, 2), (), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(cowshed.Corrupt, match="extents"):
            matrix(*wrong).read()
    text = Writer().strings(["a", "b"], ATTRIBUTES).attributes(dim=lambda w: w.doubles([1, 2]), names=lambda w: w.strings(["p", "q"])).read()
    assert text.shape == (1, 2) and list(cowshed.attributes(text)["names"]) == ["p", "q"]


def test_a_factor_is_one():
    def factor(codes):
        levels, kind = lambda w: w.strings(["lo", "hi"]), lambda w: w.strings(["factor"])
        return Writer().ints(codes, ATTRIBUTES | OBJECT).attributes(levels=levels, **{"class": kind}).read()

    x = factor([2, 1, cowshed.NA_INTEGER])
    assert isinstance(x, cowshed.Factor) and list(np.asarray(x)) == ["hi", "lo", None]
    assert list(x.codes) == [2, 1, -(2**31)] and list(x.levels) == ["lo", "hi"]
    assert list(cowshed.attributes(x)) == ["levels", "class"]


def test_what_base_r_writes_short_is_made():
    def sequence(class_, *info):
        return Writer().altrep(class_, "base", lambda w: w.doubles(info)).read()

    up, down = sequence("compact_intseq", 3, 5, 1), sequence("compact_intseq", 3, 5, -1)
    assert (up.dtype, list(up), list(down)) == (np.dtype("i4"), [5, 6, 7], [5, 4, 3])
    real = sequence("compact_realseq", 2, 0.5, 1)
    assert real.dtype == "f8" and list(real) == [0.5, 1.5]
    assert len(sequence("compact_intseq", 0, 1, 1)) == 0

    def pair(first):
        return lambda w: first(w.int(2)).ints([0, 0])

    wrapped = Writer().altrep("wrap_real", "base", pair(lambda w: w.doubles([3, 1])), names=lambda w: w.strings(["a", "b"])).read()
    assert list(wrapped) == [3, 1] and list(cowshed.attributes(wrapped)["names"]) == ["a", "b"]
    deferred = Writer().altrep("deferred_string", "base", pair(lambda w: w.ints([1, -7, cowshed.NA_INTEGER]))).read()
    assert list(deferred) == ["1", "-7", None]
    with pytest.raises(cowshed.Unshareable, match="as.character"):
        Writer().altrep("deferred_string", "base", pair(lambda w: w.doubles([1.5]))).read()
    with pytest.raises(cowshed.Memory, match="too long"):
        sequence("compact_realseq", 2**40, 1, 1)
    for wrong in ((-1, 1, 1), (0.5, 1, 1), (3, 1, 2), (3, 2**31 - 2, 1), (float("nan"), 1, 1), (3, float("inf"), 1), (3, 0.5, 1)):
        with pytest.raises(cowshed.Corrupt):
            sequence("compact_intseq", *wrong)


def closure(w):
    return w.int(3 | TAG, 253).int(2 | TAG).symbol("x").int(251, NULL).int(6).symbol("f").int(2).symbol("x").int(NULL)


def environment(w):
    return w.known().int(4, 0, 242).int(2 | TAG).symbol("x").ints([1]).int(NULL, NULL, NULL)


def builtin(w):
    w.int(8, 3)
    w.out += b"sum"
    return w


OTHERS = {
    "environment": [environment, lambda w: w.int(253), lambda w: w.known().int(249, 0, 1).char("base")],
    "function": [closure, builtin],
    "promise": [lambda w: w.int(5, NULL).ints([1])],
    "call": [lambda w: w.int(6).symbol("f").int(2 | TAG).symbol("a").ints([1]).int(NULL)],
    "expression": [lambda w: w.int(20, 2).ints([1]).symbol("x")],
    "external pointer": [lambda w: w.known().int(22, NULL, NULL)],
    "weak reference": [lambda w: w.known().int(23)],
    "S4 object of class <mine>": [lambda w: w.int(25 | ATTRIBUTES | OBJECT | 1 << 16).attributes(**{"class": lambda w: w.strings(["mine"])})],
    "without a default": [lambda w: w.int(251)],
}


@pytest.mark.parametrize("named, write", [(named, write) for named, writers in OTHERS.items() for write in writers])
def test_what_python_has_nothing_for_is_named_and_read_past(named, write):
    for writer in (write(Writer()), write(Writer().int(19, 1))):
        with pytest.raises(cowshed.Unshareable, match=named):
            writer.read()
    # What follows it is found, references to it included.
    array = Writer().ints([1, 2], ATTRIBUTES).attributes(other=write, names=lambda w: w.strings(["a", "b"])).read()
    assert list(array) == [1, 2] and list(cowshed.attributes(array)["names"]) == ["a", "b"]
    assert isinstance(cowshed.attributes(array)["other"], cowshed.Unshareable)


def test_an_environment_that_is_referred_to_again_is_one():
    with pytest.raises(cowshed.Unshareable, match="environment"):
        environment(Writer().int(19, 2)).int(1 << 8 | 255).read()
    array = Writer().ints([1], ATTRIBUTES).attributes(a=environment, x=lambda w: w.ints([7])).read()
    assert cowshed.attributes(array)["x"][0] == 7


def test_byte_code_and_unknown_types_end_it():
    with pytest.raises(cowshed.Unshareable, match="compiled"):
        Writer().int(21).read()
    with pytest.raises(cowshed.Corrupt, match="type 99"):
        Writer().int(99).read()


def test_symbols_pairlists_and_s4_bits_are_named():
    with pytest.raises(cowshed.Unshareable, match="symbol"):
        Writer().symbol("x").read()
    with pytest.raises(cowshed.Unshareable, match="pairlist"):
        Writer().attributes(a=lambda w: w.ints([1])).read()
    with pytest.raises(cowshed.Unshareable, match="S4 object of class <mine>"):
        Writer().ints([1], ATTRIBUTES | OBJECT | 1 << 16).attributes(**{"class": lambda w: w.strings(["mine"])}).read()
    with pytest.raises(cowshed.Unshareable, match="ALTREP class 'x' of package 'other'"):
        Writer().altrep("x", "other", lambda w: w.int(NULL)).read()
    with pytest.raises(cowshed.Unshareable, match="virtual vector"):
        Writer().altrep("cowshed_virtual_double", "cowshed", lambda w: w.int(NULL)).read()


def deep(levels):
    writer = Writer()
    for _ in range(levels):
        writer.int(19, 1)
    return writer.int(NULL)


def test_the_deepest_object_fits_the_stack_of_a_small_thread(shm):
    import threading

    def both():
        nested = []
        for _ in range(1190):
            nested = [nested]
        results.append(cowshed.cache("x", lambda: nested, shm_path=shm, verbose=False))
        results.append(deep(1190).read())

    results = []
    before = threading.stack_size(2 << 20)
    try:
        thread = threading.Thread(target=both)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert len(results) == 2


def test_nesting_has_an_end_and_pairlists_are_no_nesting():
    value = deep(1000).read()
    for _ in range(1000):
        (value,) = value
    assert value is None
    with pytest.raises(cowshed.Corrupt, match="too deep"):
        deep(100_000).read()
    with pytest.raises(cowshed.Corrupt, match="too deep"):
        writer = Writer()
        for _ in range(100_000):
            writer.int(2 | ATTRIBUTES)
        writer.read()
    many = Writer().ints([1], ATTRIBUTES)
    for i in range(50_000):
        many.int(2 | TAG).symbol(f"a{i % 100}").ints([i])
    assert len(cowshed.attributes(many.int(NULL).read())) == 100


@pytest.mark.parametrize(
    "bytes_",
    [b"", b"X", b"A\n3\n", b"X\n", Writer(version=4).int(NULL).out, Writer().out, Writer().int(NULL).out + b"x", Writer().int(13, -5).out,
     Writer().int(13, 2**31 - 1).out, Writer().int(13, -1, 2**30, 0).out, Writer().int(19, 2**31 - 1).out, Writer().int(16, 1, 13).out,
     Writer().int(5 << 8 | 255).out, Writer().int(255, 0).out, Writer().int(238).out, Writer().int(238, NULL).out],
)  # fmt: skip
def test_nonsense_is_corrupt(bytes_):
    with pytest.raises(cowshed.Corrupt):
        _cowshed.unserialize(bytes(bytes_))


def reference(id=bytes(range(16)), version=2, elsewhere=0, node=0, start=0, length=1, machine=0, store=b""):
    head = bytes([version, 1, elsewhere, 0]) + struct.pack("<I", node) + id
    return head + struct.pack("<QQQQ", 0, start, length, machine) + store


def shared(state, class_="cowshed_double"):
    def raw(writer):
        writer.int(24, len(state))
        writer.out += state
        return writer

    return Writer().altrep(class_, "cowshed", raw)


@pytest.mark.parametrize(
    "state, error",
    [
        (b"", cowshed.Version),
        (reference(version=3), cowshed.Version),
        (reference() + b"x", cowshed.Version),
        (reference(elsewhere=1, store=b"relative"), cowshed.Version),
        (reference(elsewhere=1, store=b"/a\0b"), cowshed.Version),
        (reference(machine=1), cowshed.Machine),
        (reference(elsewhere=1, store=b"/no/such/store"), cowshed.Gone),
        (reference(elsewhere=2, store=b"/no/such/file"), cowshed.Gone),
        (reference(elsewhere=2, store=b"/etc/passwd"), cowshed.Corrupt),
    ],
)
def test_a_reference_to_nothing_is_an_error_and_makes_nothing(state, error):
    with pytest.raises(error):
        shared(state).read()


def test_a_reference_to_a_file_is_checked_against_it(shm):
    import os

    value = {"a": np.arange(300.0), "b": np.arange(3)}
    cowshed.cache("x", lambda: value, shm_path=shm, verbose=False)
    path = os.path.join(shm, "sharearray_x.cow").encode()
    with open(path, "rb") as file:
        head = file.read(128)
    id, nodes, root = head[16:32], *struct.unpack("<I4xI", head[48:60][:4] + head[52:56] + head[60:64])
    whole = shared(reference(id, elsewhere=2, node=root, length=2, store=path), "cowshed_list").read()
    assert [len(part) for part in whole] == [300, 3]
    for wrong in (
        shared(reference(id, elsewhere=2, node=root, length=2, store=path)),
        shared(reference(id, elsewhere=2, node=root, length=1, store=path), "cowshed_list"),
        shared(reference(id, elsewhere=2, node=root, start=1, length=1, store=path), "cowshed_list"),
        shared(reference(id, elsewhere=2, node=nodes, length=2, store=path), "cowshed_list"),
        shared(reference(id, elsewhere=2, node=2**32 - 1, length=2, store=path), "cowshed_list"),
        shared(reference(id, elsewhere=2, node=root, start=2**64 - 1, length=2, store=path), "cowshed_character"),
    ):
        with pytest.raises(cowshed.Corrupt, match="no such vector"):
            wrong.read()
    with pytest.raises(cowshed.Gone, match="another object"):
        shared(reference(bytes(16), elsewhere=2, node=root, length=2, store=path), "cowshed_list").read()


def test_no_bytes_can_do_more_than_make_it_unreadable():
    attributes = {"dim": lambda w: w.ints([2, 1]), "names": lambda w: w.strings(["ä", None]), "levels": lambda w: w.doubles([1, 2])}
    good = Writer().int(19 | ATTRIBUTES, 4).ints([1, 2], ATTRIBUTES).attributes(**attributes).strings(["a", "bc"])
    good.altrep("compact_intseq", "base", lambda w: w.doubles([3, 1, 1])).altrep("wrap_real", "base", lambda w: w.int(2).doubles([1]).ints([0]))
    good = good.attributes(names=lambda w: w.strings(list("abcd"))).out
    good = bytes(good)
    assert list(_cowshed.unserialize(good)) == list("abcd")
    rng = random.Random(7)
    errors = 0
    for n in range(20_000):
        bad = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(len(bad))
            bad[at] = rng.choice([0, 1, 127, 128, 254, 255, bad[at] ^ 1 << rng.randrange(8)])
        if n % 3 == 0:
            del bad[rng.randrange(len(bad)) :]
        try:
            _cowshed.unserialize(bytes(bad))
        except cowshed.Error:
            errors += 1
    assert errors > 5000
