"""What R shares, seen from Python. Needs R with the package cowshed: `R_LIBS` says where to look."""

import gc
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import cowshed

#: The namespace, in a store that all processes of the user have.
NAMES = f"py{os.getpid()}"

REGISTER = """
set.seed(1)
big <- matrix(as.double(seq_len(8e6)), 2000, dimnames = list(NULL, paste0("c", 1:4000)))
things <- list(
  big = big, int = c(1L, NA, 3L), dbl = c(a = 1.5, b = NA, c = Inf), raw = as.raw(0:3), cpl = c(1+2i, NA),
  lgl = c(TRUE, FALSE), na = c(TRUE, NA), chr = c("x", "\\u00e4\\u65e5", NA, ""), arr = array(1:24, c(2, 3, 4)),
  many = rep(c("one", "two", NA), 1000), f = factor(c("u", NA, "v", "u")), ord = factor("lo", c("lo", "hi"), ordered = TRUE),
  df = data.frame(a = 1:3, b = c("x", "y", NA), f = factor(c("p", "q", "p")), stringsAsFactors = FALSE),
  nested = list(1:3, list(z = "s", w = list(TRUE, NULL)), numeric()), named = list(one = 1, two = "2"),
  date = as.Date("2020-02-29"), seq = 1:10, chrseq = as.character(1:3), chrdbl = as.character(c(1.5, 2)), empty = list(), nul = list(NULL),
  latin = iconv("\\u00e4", "UTF-8", "latin1"), empty_chr = character(), dup = list(a = 1, a = 2), unnamed = list(1, a = 2), fun = list(function(x) x), env = globalenv(),
  sym = list(quote(x)), call = list(quote(f(x))), pl = list(pairlist(a = 1)), long = as.double(1:1e6), tbl = table(c("a", "b", "a")),
  mf = model.frame(dist ~ speed, cars), bytes = `Encoding<-`("\\xe4", "bytes"), s4 = new("numeric"), wide = as.list(1:5000)
)
setClass("Mine", representation(x = "numeric"))
things$s4 <- list(new("Mine", x = 1))
registerVariables("NAMES", things)
registerVariables("NAMES", list(live = numeric(1000)), copyOnWrite = FALSE)
live <- retrieveViews("NAMES", "live")$live
invisible(share(list(m = big, s = c("a", NA)), store = file.path(commandArgs(TRUE), "list.cowshed")))
"""


@pytest.fixture(scope="module")
def r(rscript, tmp_path_factory):
    """An R process that has registered all of the above, and does what it is told, line by line."""
    where = tmp_path_factory.mktemp("stored")
    code = REGISTER.replace("commandArgs(TRUE)", f"'{where}'").replace("NAMES", NAMES) + """
cat("ready\\n")
input <- file("stdin", "r")
while (length(line <- readLines(input, 1L))) { eval(parse(text = line)); cat("done\\n") }
"""
    process = rscript(code)
    line = process.stdout.readline()
    if line != "ready\n":
        process.kill()
        raise AssertionError(process.communicate()[1])
    process.where = str(where)

    def does(line):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"

    process.does = does
    yield process
    process.stdin.close()
    process.wait(60)


@pytest.fixture
def get(r):
    return lambda name: cowshed.retrieve(NAMES, name)


def anonymous():
    """Bytes of this process that are in no file: what a copy would be."""
    with open("/proc/self/smaps_rollup") as rollup:
        return next(1024 * int(line.split()[1]) for line in rollup if line.startswith("Anonymous:"))


def test_a_matrix_is_a_view_of_which_nothing_is_copied(get):
    get("int")
    gc.collect()
    before = anonymous()
    big = get("big")
    assert big.shape == (2000, 4000) and big.dtype == "f8" and big.flags.f_contiguous and not big.flags.writeable
    assert big[1, 0] == 2 and big[0, 1] == 2001 and big.sum() == 8e6 * (8e6 + 1) / 2
    assert anonymous() - before < 4 << 20 < big.nbytes / 10
    names = cowshed.attributes(big)["dimnames"]
    assert names[0] is None and names[1][3999] == "c4000"
    with pytest.raises(ValueError):
        big[0, 0] = 0


def test_vectors_of_all_types(get):
    assert get("int").dtype == "i4" and list(get("int")) == [1, cowshed.NA_INTEGER, 3]
    dbl = get("dbl")
    assert dbl[0] == 1.5 and np.isnan(dbl[1]) and dbl[2] == np.inf and list(cowshed.attributes(dbl)["names"]) == ["a", "b", "c"]
    # R's own NaN: 1954 in the low word.
    assert int(dbl.view("u8")[1]) & 0xFFFFFFFF == 1954
    assert get("raw").dtype == "u1" and list(get("raw")) == [0, 1, 2, 3]
    assert get("cpl").dtype == "c16" and get("cpl")[0] == 1 + 2j
    assert get("lgl").dtype == "?" and list(get("lgl")) == [True, False]
    assert get("na").dtype == "i4" and list(get("na")) == [1, cowshed.NA_INTEGER]
    assert list(get("seq")) == list(range(1, 11)) and get("seq").dtype == "i4"
    assert get("arr").shape == (2, 3, 4) and get("arr")[1, 2, 3] == 24 and get("arr")[1, 0, 0] == 2
    for name in ("int", "dbl", "raw", "cpl", "lgl", "na", "arr", "chr", "many"):
        array = get(name)
        assert type(array) is np.ndarray and not array.flags.writeable
        with pytest.raises(ValueError):
            array.flags.writeable = True


def test_strings_are_objects(get):
    assert get("chr").dtype == object and list(get("chr")) == ["x", "ä日", None, ""]
    assert list(get("many")) == ["one", "two", None] * 1000
    assert list(get("latin")) == ["ä"] and list(get("bytes")) == [b"\xe4"] and list(get("empty_chr")) == []
    assert list(get("chrseq")) == ["1", "2", "3"] and list(get("chrdbl")) == ["1.5", "2"]


def test_factors_and_what_has_a_class(get):
    f = get("f")
    assert isinstance(f, cowshed.Factor) and list(np.asarray(f)) == ["u", None, "v", "u"] and list(f.codes) == [1, -(2**31), 2, 1]
    assert list(cowshed.attributes(get("ord"))["class"]) == ["ordered", "factor"]
    date = get("date")
    assert date[0] == 18321 and list(cowshed.attributes(date)["class"]) == ["Date"]
    assert list(get("tbl")) == [2, 1]


def test_lists_and_data_frames(get):
    df = get("df")
    assert type(df) is dict and list(df) == ["a", "b", "f"]
    assert list(df["a"]) == [1, 2, 3] and list(df["b"]) == ["x", "y", None] and list(np.asarray(df["f"])) == ["p", "q", "p"]
    first, second, third = get("nested")
    assert list(first) == [1, 2, 3] and list(second) == ["z", "w"] and list(second["z"]) == ["s"] and len(third) == 0
    assert list(second["w"][0]) == [True] and second["w"][1] is None
    assert {k: v[0] for k, v in get("named").items()} == {"one": 1.0, "two": "2"}
    # Its attribute `terms` is a call with an environment.
    assert list(get("mf")) == ["dist", "speed"] and get("mf")["dist"][0] == 2
    assert get("empty") == [] and get("nul") == [None]
    assert {k: v[0] for k, v in get("unnamed").items()} == {"": 1, "a": 2}
    assert [one[0] for one in get("wide")] == list(range(1, 5001))
    with pytest.raises(cowshed.Unshareable, match="two elements of the name 'a'"):
        get("dup")


@pytest.mark.parametrize(
    "name, named", [("fun", "function"), ("env", "environment"), ("sym", "symbol"), ("call", "call"), ("pl", "pairlist"), ("s4", "S4 object of class <Mine>")]
)
def test_what_python_has_nothing_for_is_named(get, name, named):
    with pytest.raises(cowshed.Unshareable, match=named):
        get(name)


def test_a_name_that_nobody_has_is_gone_and_says_so(get):
    with pytest.raises(KeyError) as error:
        get("nobody")
    assert "There is no 'nobody' in the namespace '" + NAMES + "'" in str(error.value)
    with pytest.raises(cowshed.Gone):
        cowshed.retrieve("no such namespace", "big")
    with pytest.raises(cowshed.Gone):
        cowshed.retrieve(NAMES, "big", store="/no/such/directory")


def test_writes_through_are_seen(r, get):
    live = get("live")
    assert live[0] == 0 and not live.flags.writeable
    r.does("live[1] <- 42")
    assert live[0] == 42


def test_stored_objects_open_by_path(r):
    path = os.path.join(r.where, "list.cowshed")
    value = cowshed.open(path)
    assert list(value) == ["m", "s"] and value["m"].shape == (2000, 4000) and list(value["s"]) == ["a", None]
    part = value["m"][:, 0]
    del value
    os.unlink(path)
    assert part[-1] == 2000


def test_the_memory_stays_as_long_as_an_array_does(r):
    r.does(f"registerVariables('{NAMES}', list(passing = as.double(1:50000)))")
    array = cowshed.retrieve(NAMES, "passing")
    r.does(f"releaseVariables('{NAMES}', 'passing'); invisible(gc())")
    with pytest.raises(cowshed.Gone):
        cowshed.retrieve(NAMES, "passing")
    assert array.sum() == 50000 * 50001 / 2
    store = f"/dev/shm/cowshed-{os.geteuid()}/segments"
    before = len(os.listdir(store))
    del array
    gc.collect()
    r.does("sharedObjectReport(); invisible(gc())")
    assert len(os.listdir(store)) < before


def test_a_killed_reader_leaves_nothing(r, child):
    r.does(f"registerVariables('{NAMES}', list(passing = as.double(1:50000)))")
    one = child(f"x = cowshed.retrieve('{NAMES}', 'passing'); print(x[-1], flush=True); sys.stdin.readline()")
    assert one.line() == "50000.0"
    one.process.kill()
    one.process.wait()
    store = f"/dev/shm/cowshed-{os.geteuid()}/segments"
    before = len(os.listdir(store))
    r.does(f"releaseVariables('{NAMES}', 'passing'); invisible(gc()); invisible(sharedObjectReport())")
    deadline = time.monotonic() + 20
    while len(os.listdir(store)) >= before and time.monotonic() < deadline:
        time.sleep(0.2)
        r.does("invisible(share(as.double(1:5000))); invisible(gc()); invisible(sharedObjectReport())")
    assert len(os.listdir(store)) < before


def test_forked_children_read_and_hold_it(r, get):
    big = get("big")
    pid = os.fork()
    if pid == 0:
        again = cowshed.retrieve(NAMES, "long")
        os._exit(0 if big[1, 0] == 2 and again[-1] == 1e6 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert get("long")[-1] == 1e6


@pytest.mark.parametrize("how", ["cut", "bits", "text"])
def test_a_damaged_card_is_an_error(r, how):
    directory = f"/dev/shm/cowshed-{os.geteuid()}/names"
    before = set(os.listdir(directory))
    r.does(f"registerVariables('{NAMES}', list(card = as.double(1:100)))")
    (card,) = set(os.listdir(directory)) - before
    path = os.path.join(directory, card)
    with open(path, "rb") as file:
        good = file.read()
    bad = {"cut": good[:100], "bits": good[:-1] + bytes([good[-1] ^ 1]), "text": b"no card"}[how]
    with open(path, "wb") as file:
        file.write(bad)
    with pytest.raises((cowshed.Corrupt, cowshed.Gone)):
        cowshed.retrieve(NAMES, "card")
    os.unlink(path)


def test_the_name_of_an_r_process_that_was_killed_is_gone(rscript):
    process = rscript(f"registerVariables('{NAMES}-killed', list(x = as.double(1:100))); cat('ready\\n'); Sys.sleep(60)")
    assert process.stdout.readline() == "ready\n"
    array = cowshed.retrieve(f"{NAMES}-killed", "x")
    process.kill()
    process.communicate()
    with pytest.raises(cowshed.Gone):
        cowshed.retrieve(f"{NAMES}-killed", "x")
    assert array.sum() == 5050


def test_a_store_in_another_directory_is_found(rscript, shm):
    process = rscript(f"options(cowshed.store = '{shm}'); registerVariables('{NAMES}', list(x = as.double(1:100))); cat('ready\\n'); readLines(file('stdin'), 1)")
    assert process.stdout.readline() == "ready\n", process.communicate()
    array = cowshed.retrieve(NAMES, "x", store=shm)
    assert array.sum() == 5050
    process.communicate("\n")


def test_serializations_of_both_formats_read_alike(rscript):
    from cowshed import _cowshed

    code = """
x <- list(a = 1:3, b = c(x = 1.5, y = NA), c = matrix(c("u", NA), 1), d = list(TRUE, NULL, raw(2)), e = factor("l"), f = 1i, g = seq(2, 9), h = sort(c(3, 1, 2)))
x$a[2] <- 9L
for (xdr in c(TRUE, FALSE)) for (version in 2:3) cat(paste(format(serialize(x, NULL, xdr = xdr, version = version)), collapse = ""), "\\n")
"""
    out, err = rscript(code).communicate(timeout=60)
    read = [_cowshed.unserialize(bytes.fromhex(line)) for line in out.split()]
    assert len(read) == 4, err
    for x in read:
        assert list(x) == list("abcdefgh") and list(x["a"]) == [1, 9, 3] and x["c"].shape == (1, 2) and list(x["h"]) == [1, 2, 3]
        assert list(np.asarray(x["e"])) == ["l"] and x["d"][1] is None and list(x["g"]) == list(range(2, 10))
        assert list(cowshed.attributes(x["b"])["names"]) == ["x", "y"]


def test_this_process_has_what_it_needs_to_be_tested_so():
    assert sys.platform == "linux" and subprocess


@pytest.fixture
def once(rscript, shm):
    """Runs R code that ends, with `get(id)` for `shareCache()` in `shm`, and gives what it printed."""
    has = rscript("cat(exists('shareCache'))").communicate(timeout=60)[0]
    if has != "TRUE":
        pytest.skip("R's package has no shareCache()")

    def run(code):
        before = f"get <- function(id, ...) shareCache(id, ..., shm_path = '{shm}', verbose = FALSE); "
        process = rscript(before + code)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out

    return run


def test_r_finds_what_python_made(once, shm):
    cowshed.cache("f", np.asfortranarray(np.arange(6.0).reshape(2, 3)), shm_path=shm, verbose=False)
    cowshed.cache("c", np.arange(6.0).reshape(2, 3), shm_path=shm, verbose=False)
    value = {"x": np.arange(3, dtype="i4"), "t": (1.5, "text", True, None), "l": [], "s": np.array(["a", "ä"])}
    cowshed.cache("d", lambda: value, shm_path=shm, verbose=False)
    code = """
m <- get('f'); stopifnot(identical(dim(m), 2:3), m[1, 2] == 1, m[2, 1] == 3)
m <- get('c'); stopifnot(identical(dim(m), 2:3), m[1, 2] == 1, m[2, 1] == 3)
d <- get('d')
stopifnot(identical(names(d), c('x', 't', 'l', 's')), identical(d$x[], 0:2), d$t[[1]] == 1.5, d$t[[2]] == 'text', isTRUE(d$t[[3]][1]),
  identical(attr(d$t, 'python'), 'tuple'), length(d$t[[4]]) == 0, length(d$l) == 0, identical(d$s[], c('a', '\\u00e4')))
cat('fine')
"""
    assert once(code) == "fine"


def test_python_finds_what_r_made(once, shm):
    code = """
invisible(get('m', matrix(as.double(1:6), 2)))
invisible(get('l', function() list(a = 1:3, df = data.frame(u = c('p', NA)), f = factor('lo'), n = NULL)))
invisible(get('v', c(a = 1, b = NA)))
invisible(get('b', matrix(c(TRUE, FALSE), 1)))
"""
    once(code)
    m = cowshed.cache("m", shm_path=shm, verbose=False)
    assert type(m) is np.memmap and m.flags.f_contiguous and m.tolist() == [[1, 3, 5], [2, 4, 6]]
    found = cowshed.cache("l", lambda: 1 / 0, shm_path=shm, verbose=False)
    assert list(found["a"]) == [1, 2, 3] and list(found["df"]["u"]) == ["p", None] and list(np.asarray(found["f"])) == ["lo"] and found["n"] is None
    v = cowshed.cache("v", shm_path=shm, verbose=False)
    assert v[0] == 1 and list(cowshed.attributes(v)["names"]) == ["a", "b"]
    assert cowshed.cache("b", shm_path=shm, verbose=False).tolist() == [[True, False]]


def test_an_r_list_that_holds_what_python_made_is_read(rscript, once, shm):
    value = (np.asfortranarray(np.arange(6.0).reshape(2, 3)), {"a": np.arange(2000, dtype="i4")}, "s")
    cowshed.cache("t", lambda: value, shm_path=shm, verbose=False)
    cowshed.cache("m", np.arange(5000.0), shm_path=shm, verbose=False)
    code = f"""
get <- function(id) shareCache(id, shm_path = '{shm}', verbose = FALSE)
registerVariables('{NAMES}-held', list(v = list(t = get('t'), m = get('m'), own = 1:3), m = get('m')))
cat('ready\\n'); invisible(readLines(file('stdin'), 1))
"""
    process = rscript(code)
    assert process.stdout.readline() == "ready\n", process.communicate()
    held = cowshed.retrieve(f"{NAMES}-held", "v")
    assert held["m"].sum() == 4999 * 2500 and list(held["own"]) == [1, 2, 3]
    matrix, inner, text = held["t"]
    assert np.asarray(matrix).tolist() == [[0, 1, 2], [3, 4, 5]] and inner["a"][-1] == 1999 and np.asarray(text).item() == "s"
    assert cowshed.retrieve(f"{NAMES}-held", "m")[-1] == 4999
    process.communicate("\n")


def test_r_and_python_wait_for_one_another(rscript, once, shm):
    process = rscript(f"invisible(shareCache('x', function() {{ cat('making\\n'); Sys.sleep(0.5); c(7, 8) }}, shm_path = '{shm}', verbose = FALSE))")
    assert process.stdout.readline() == "making\n"
    said = []
    assert cowshed.cache("x", lambda: 1 / 0, shm_path=shm, timeout=30, log_func=said.append).tolist() == [7, 8]
    assert said[0] == "'x' is being created by another process. Waiting up to 30 seconds..."
    process.communicate(timeout=30)
