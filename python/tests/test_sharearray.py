"""What the original sharearray promises: its usage, files, messages and exceptions."""

import inspect
import os
import warnings

import numpy as np
import pytest
from conftest import names

import cowshed as sharearray


def lines_of(shm, id, made, **kwargs):
    said = []
    array = sharearray.cache(id, made, shm_path=shm, log_func=said.append, **kwargs)
    return array, said


def test_signatures_are_those_of_the_original():
    parameters = inspect.signature(sharearray.cache).parameters
    assert list(parameters) == ["id", "array_or_callback", "shm_path", "prefix", "timeout", "verbose", "log_func"]
    defaults = {name: parameters[name].default for name in list(parameters)[2:]}
    assert defaults == {"shm_path": "/dev/shm", "prefix": "sharearray_", "timeout": -1, "verbose": True, "log_func": None}
    assert list(inspect.signature(sharearray.decorator).parameters) == ["id", "kwargs"]
    assert list(inspect.signature(sharearray.free).parameters) == ["id", "shm_path", "prefix"]
    assert {"cache", "decorator", "valid_id", "TimeoutException", "free"} <= set(sharearray.__all__)
    assert all(hasattr(sharearray, name) for name in sharearray.__all__)


def test_a_star_import_leaves_pythons_own_functions_alone():
    into = {}
    exec("from cowshed import *", into)
    import builtins

    assert not [name for name in into if hasattr(builtins, name) and not name.startswith("__")]


def test_a_decorated_function_runs_once(shm):
    calls = []

    @sharearray.decorator("some_unique_id", verbose=False, shm_path=shm)
    def get_training_data():
        """Its documentation."""
        calls.append(1)
        return np.arange(12.0).reshape(3, 4)

    first, second = get_training_data(), get_training_data()
    assert len(calls) == 1
    assert (first == second).all() and first.shape == (3, 4)
    assert get_training_data.__name__ == "get_training_data" and get_training_data.__doc__ == "Its documentation."
    with pytest.raises(TypeError):
        get_training_data(1)


def test_a_callback_runs_once_and_the_file_is_where_the_original_has_it(shm):
    def create_large_array():
        return np.ones((100, 10))

    arr = sharearray.cache("my_global_id", lambda: create_large_array(), shm_path=shm, verbose=False)
    again = sharearray.cache("my_global_id", None.__class__, shm_path=shm, verbose=False)
    assert names(shm) == ["sharearray_my_global_id.npy"]
    for a in (arr, again):
        assert type(a) is np.memmap and a.mode == "r" and not a.flags.writeable
        assert (a == 1).all()
    with pytest.raises(ValueError):
        arr[0, 0] = 2


def test_the_file_of_the_default_arguments():
    id = f"cowshed-test-{os.getpid()}"
    try:
        sharearray.cache(id, np.zeros(1), verbose=False)
        assert os.path.exists(f"/dev/shm/sharearray_{id}.npy")
    finally:
        sharearray.free(id)
    assert not os.path.exists(f"/dev/shm/sharearray_{id}.npy")


def test_torch_takes_the_array(shm):
    torch = pytest.importorskip("torch")
    data_numpy = sharearray.cache("t", np.arange(3.0), shm_path=shm, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.from_numpy(data_numpy).sum() == 3.0


def test_lines_of_making_and_finding_are_verbatim(shm):
    _, made = lines_of(shm, "x", np.zeros(2))
    _, found = lines_of(shm, "x", np.zeros(2))
    assert made == ["'x' doesn't exist yet. Locking and creating...", "'x': written.", "'x': returning memmapped view."]
    assert found == ["'x': returning memmapped view."]


def test_without_log_func_lines_are_printed_and_without_verbose_none(shm, capsys):
    sharearray.cache("x", np.zeros(2), shm_path=shm)
    assert capsys.readouterr().out.splitlines()[0] == "'x' doesn't exist yet. Locking and creating..."
    said = []
    sharearray.cache("y", np.zeros(2), shm_path=shm, verbose=False, log_func=said.append)
    assert not said and not capsys.readouterr().out


@pytest.mark.parametrize(
    "timeout, line",
    [
        (0, "'x' is being created by another process. Waiting up to 0 seconds..."),
        (0.25, "'x' is being created by another process. Waiting up to 0.25 seconds..."),
    ],
)
def test_a_wait_that_ends_says_how_long_it_will_be_and_raises(shm, timeout, line):
    os.close(os.open(os.path.join(shm, "sharearray_x.npy.lock"), os.O_CREAT | os.O_EXCL))
    said = []
    with pytest.raises(sharearray.TimeoutException) as error:
        sharearray.cache("x", np.zeros(2), shm_path=shm, timeout=timeout, log_func=said.append)
    assert str(error.value) == "timed out waiting for x to unlock (be created)"
    assert said == [line]


# In the original a name with a line feed behind it was valid.
@pytest.mark.parametrize("id", ["", "a/b", "a b", "a\n", "\n", "ä", "../x", "a\0"])
def test_what_is_no_id_is_refused_everywhere_and_at_once(shm, id):
    assert not sharearray.valid_id(id)
    for call in (
        lambda: sharearray.cache(id, np.zeros(1), shm_path=shm),
        lambda: sharearray.decorator(id, shm_path=shm),
        lambda: sharearray.free(id, shm_path=shm),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert str(error.value) == "invalid id: " + id
    assert names(shm) == []


@pytest.mark.parametrize("id", ["a", "A-Z_09=+.", ".", "..", "-"])
def test_ids_that_are_some(shm, id):
    assert sharearray.valid_id(id)
    assert sharearray.cache(id, np.ones(1), shm_path=shm, verbose=False)[0] == 1
    sharearray.free(id, shm_path=shm)
    assert names(shm) == []


@pytest.mark.parametrize("wrong", [None, 1, "x", [1, 2], (np.zeros(1),)])
def test_what_is_neither_array_nor_callable_is_refused(shm, wrong):
    with pytest.raises(ValueError) as error:
        sharearray.cache("x", wrong, shm_path=shm)
    assert str(error.value) == "array_or_callback should be ndarray or zero-argument callable"
    assert names(shm) == []


@pytest.mark.parametrize("wrong", [None, 1.5, "text", b"bytes", {1}, object()])
def test_a_callback_that_returns_something_else_leaves_nothing(shm, wrong):
    with pytest.raises(ValueError) as error:
        sharearray.cache("x", lambda: wrong, shm_path=shm, verbose=False)
    assert error.value.args == ("callback did not return a numpy.ndarray, returned:", type(wrong))
    assert names(shm) == []


# In the original it left a broken file.
@pytest.mark.parametrize(
    "array", [np.array([{}]), np.array([(1, "x")], dtype=[("a", int), ("b", object)]), np.ma.masked_array([1, 2], [True, False])]
)
def test_what_numpy_would_not_save_leaves_nothing(shm, array):
    with pytest.raises(ValueError, match="cannot be shared"):
        sharearray.cache("x", array, shm_path=shm, verbose=False)
    assert names(shm) == []
    assert sharearray.cache("x", np.ones(1), shm_path=shm, verbose=False)[0] == 1


def test_an_error_in_the_callback_passes_through_and_leaves_nothing(shm):
    def fails():
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        sharearray.cache("x", fails, shm_path=shm, verbose=False)
    assert names(shm) == []


def test_freeing_is_silent_if_there_is_nothing_and_live_views_survive(shm):
    array = sharearray.cache("x", np.arange(10), shm_path=shm, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sharearray.free("x", shm_path=shm)
        sharearray.free("x", shm_path=shm)
    assert array.sum() == 45
    assert sharearray.cache("x", np.arange(2), shm_path=shm, verbose=False).shape == (2,)


def test_freeing_a_lock_warns_and_removes_it(shm):
    os.close(os.open(os.path.join(shm, "p_x.npy.lock"), os.O_CREAT | os.O_EXCL))
    with pytest.warns(UserWarning, match="^lock still exists$"):
        sharearray.free("x", shm_path=shm, prefix="p_")
    assert names(shm) == []


def test_prefixes_are_worlds_apart(shm):
    one = sharearray.cache("x", np.zeros(1), shm_path=shm, prefix="a_", verbose=False)
    two = sharearray.cache("x", np.ones(1), shm_path=shm, prefix="b_", verbose=False)
    assert (one[0], two[0]) == (0, 1) and names(shm) == ["a_x.npy", "b_x.npy"]
    with pytest.raises(ValueError):
        sharearray.cache("x", np.ones(1), shm_path=shm, prefix="../", verbose=False)


def test_a_directory_that_is_not_there_is_an_error_that_names_it(shm):
    with pytest.raises(sharearray.Store, match="no-such-directory"):
        sharearray.cache("x", np.ones(1), shm_path=os.path.join(shm, "no-such-directory"), verbose=False)


def test_a_relative_directory_is_meant_from_where_the_call_was(shm, monkeypatch):
    os.mkdir(os.path.join(shm, "sub"))
    monkeypatch.chdir(shm)

    def moves():
        os.chdir("/")
        return np.zeros(1)

    sharearray.cache("x", moves, shm_path="sub", verbose=False)
    assert names(os.path.join(shm, "sub")) == ["sharearray_x.npy"]


def test_the_original_sees_our_arrays_and_we_see_its(shm):
    """The original, written from its documentation: the lock is made exclusively, the array saved under its name, the lock removed."""
    path = os.path.join(shm, "sharearray_theirs.npy")
    os.close(os.open(path + ".lock", os.O_CREAT | os.O_EXCL))
    np.save(path, np.arange(5))
    os.unlink(path + ".lock")
    said = []
    assert sharearray.cache("theirs", lambda: 1 / 0, shm_path=shm, log_func=said.append).sum() == 10
    assert said == ["'theirs': returning memmapped view."]
    sharearray.cache("ours", np.arange(4), shm_path=shm, verbose=False)
    assert np.lib.format.open_memmap(os.path.join(shm, "sharearray_ours.npy"), mode="r").sum() == 6
    assert names(shm) == ["sharearray_ours.npy", "sharearray_theirs.npy"]


def test_files_have_whom_the_umask_lets_read_them(shm):
    old = os.umask(0o027)
    try:
        sharearray.cache("a", np.zeros(1), shm_path=shm, verbose=False)
        sharearray.cache("b", lambda: (1, 2), shm_path=shm, verbose=False)
    finally:
        os.umask(old)
    assert [os.stat(os.path.join(shm, name)).st_mode & 0o777 for name in names(shm)] == [0o640, 0o640]


def test_opening_only_is_a_key_error_that_names_id_and_remedy(shm):
    for kind in (KeyError, sharearray.Gone, sharearray.Error):
        with pytest.raises(kind) as error:
            sharearray.cache("nobody", shm_path=shm)
        assert str(error.value) == f"there is no 'nobody' in '{shm}'; make it: cache('nobody', callback)"
    assert names(shm) == []
    sharearray.cache("nobody", np.ones(1), shm_path=shm, verbose=False)
    assert sharearray.cache("nobody", shm_path=shm, verbose=False)[0] == 1


def test_what_there_is_is_listed(shm):
    sharearray.cache("b", np.zeros(4), shm_path=shm, verbose=False)
    sharearray.cache("a", lambda: [1], shm_path=shm, verbose=False)
    os.close(os.open(os.path.join(shm, "sharearray_c.npy.lock"), os.O_CREAT | os.O_EXCL))
    open(os.path.join(shm, "sharearray_no id.npy"), "w").close()
    a, b, c = sharearray.list_cached(shm)
    assert [a.id, b.id, c.id] == ["a", "b", "c"]
    assert a.path.endswith("sharearray_a.cow") and b.path.endswith("sharearray_b.npy") and c.path is None
    assert b.nbytes == os.path.getsize(b.path) and c.nbytes == 0
    assert (a.lock, b.lock, c.lock) == (None, None, "foreign")
    assert all(entry.uid == os.getuid() for entry in (a, b, c))

    def looks():
        entry = [entry for entry in sharearray.list_cached(shm) if entry.id == "d"][0]
        assert (entry.lock, entry.pid, entry.path) == ("held", os.getpid(), None)
        return np.zeros(1)

    sharearray.cache("d", looks, shm_path=shm, verbose=False)
