"""Damaged files: an error that says so, never a crash."""

import os
import random

import numpy as np
import pytest

import cowshed


def damaged(shm, name, bytes_):
    path = os.path.join(shm, name)
    # Another file, not the same one written anew: somebody may have that mapped.
    if os.path.exists(path):
        os.unlink(path)
    with open(path, "wb") as file:
        file.write(bytes_)
    return path


GOOD = b"\x93NUMPY\x01\x00"
HEADERS = {
    "empty": b"",
    "a byte": b"x",
    "text": b"no array at all",
    "magic alone": GOOD,
    "cut header": GOOD + b"\xff\xff{",
    "no literal": GOOD + b"\x08\x00{'a': 1}",
    "call": GOOD + b"\x10\x00__import__('os')",
    "version": b"\x93NUMPY\x09\x00\x02\x00{}",
    "object": b"",
    "negative": b"",
    "huge": b"",
    "many": b"",
    "nested": GOOD + (2000).to_bytes(2, "little") + b"(" * 2000,
}


def header(descr="'<f8'", order="False", shape="(3,)"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return GOOD + len(text).to_bytes(2, "little") + text


HEADERS["object"] = header("'|O'") + bytes(24)
HEADERS["negative"] = header(shape="(-3,)") + bytes(24)
HEADERS["huge"] = header(shape="(99999999999999999999,)") + bytes(24)
HEADERS["many"] = header(shape="(2,) * 3") + bytes(24)
HEADERS["cut data"] = header(shape="(30,)") + bytes(24)


@pytest.mark.parametrize("name", HEADERS)
def test_a_damaged_array_is_an_error_that_names_it(shm, name):
    path = damaged(shm, "sharearray_x.npy", HEADERS[name])
    with pytest.raises(cowshed.Corrupt, match="sharearray_x.npy"):
        cowshed.cache("x", np.zeros(1), shm_path=shm, verbose=False)
    with pytest.raises(cowshed.Error):
        cowshed.open(path)
    cowshed.free("x", shm_path=shm)
    assert cowshed.cache("x", np.ones(1), shm_path=shm, verbose=False)[0] == 1


VALUE = {"a": (np.arange(300.0), "text", None), "b": [1, 2.5, b"x", np.arange(6).reshape(2, 3)], "ä": [["x"] * 20]}


def look(value):
    """Reads all of it."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return sum(look(v) for v in value)
    return len(np.asarray(value).tobytes())


def test_no_bit_of_an_object_can_do_more_than_make_it_unreadable(shm):
    cowshed.cache("x", lambda: VALUE, shm_path=shm, verbose=False)
    path = os.path.join(shm, "sharearray_x.cow")
    with open(path, "rb") as file:
        good = file.read()
    rng = random.Random(1)
    failed = 0
    for _ in range(3000):
        bad = bytearray(good)
        for _ in range(rng.choice([1, 1, 4])):
            # Headers, payloads' beginnings and the table are where it matters.
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        damaged(shm, "sharearray_x.cow", bytes(bad))
        try:
            look(cowshed.open(path))
        except cowshed.Error:
            failed += 1
    assert failed > 100


def test_an_object_cut_anywhere_is_an_error(shm):
    cowshed.cache("x", lambda: VALUE, shm_path=shm, verbose=False)
    path = os.path.join(shm, "sharearray_x.cow")
    with open(path, "rb") as file:
        good = file.read()
    for n in {*range(0, len(good), 97), len(good) - 1}:
        damaged(shm, "sharearray_x.cow", good[:n])
        with pytest.raises(cowshed.Error):
            cowshed.cache("x", shm_path=shm, verbose=False)
    with pytest.raises(cowshed.Error):
        cowshed.open(damaged(shm, "longer.cow", good + b"x"))


def resealed(good, payload, with_bytes):
    """The segment with other bytes in a payload: memory stores have no checksums of those."""
    at = good.index(payload)
    assert good.count(payload) == 1 and len(payload) == len(with_bytes)
    return good[:at] + with_bytes + good[at + len(payload) :]


def test_damaged_images_names_and_kinds_within_an_object_are_errors(shm):
    cowshed.cache("x", lambda: {"name": np.arange(300.0)}, shm_path=shm, verbose=False)
    with open(os.path.join(shm, "sharearray_x.cow"), "rb") as file:
        good = file.read()
    for was, is_ in {
        b"NUMPY": b"XUMPY",
        b"'<f8'": b"'|O8'",
        b"(300,)": b"(301,)",
        b"(300,), }": b"(3000,),}",
        b"False": b"'abc'",
        b"descr": b"decsr",
    }.items():
        with pytest.raises(cowshed.Corrupt):
            cowshed.open(damaged(shm, "bad.cow", resealed(good, was, is_)))


@pytest.mark.parametrize("name", ["x.cow", "x.npy"])
def test_what_is_no_file_is_an_error(shm, name):
    path = os.path.join(shm, name)
    with pytest.raises(FileNotFoundError):
        cowshed.open(path)
    os.mkdir(path)
    with pytest.raises(cowshed.Store):
        cowshed.open(path)
    os.rmdir(path)
    os.mkfifo(path)
    with pytest.raises(cowshed.Store):
        cowshed.open(path)


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_an_object_of_another_user_is_opened_if_it_is_data(shm):
    cowshed.cache("x", lambda: VALUE, shm_path=shm, verbose=False)
    os.chown(os.path.join(shm, "sharearray_x.cow"), 12345, 12345)
    assert cowshed.cache("x", shm_path=shm, verbose=False)["b"][0] == 1
    # The name of a strategy is in the index, whose checksum is made anew.
    with open(os.path.join(shm, "sharearray_x.cow"), "rb") as file:
        bad = with_strategy(file.read(), b"r.character", b"r.closure_x")
    path = damaged(shm, "sharearray_x.cow", bad)
    os.chown(path, 12345, 12345)
    with pytest.raises(cowshed.Store, match="is user 12345's"):
        cowshed.cache("x", shm_path=shm, verbose=False)


def with_strategy(segment, was, is_):
    import zlib

    assert len(was) == len(is_)
    nodes, children = (int.from_bytes(segment[at : at + 4], "little") for at in (48, 52))
    table = int.from_bytes(segment[40:48], "little")
    index_at = table + 48 * nodes + 4 * children
    index = segment[index_at:].replace(was, is_)
    head = bytearray(segment[:128])
    head[80:84] = zlib.crc32(index).to_bytes(4, "little")
    head[124:128] = zlib.crc32(bytes(head[:124])).to_bytes(4, "little")
    return bytes(head) + segment[128:index_at] + index
