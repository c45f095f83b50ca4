//! What `.Call` reaches: one line of glue each around cowshed-altrep's verbs.

use std::ffi::{c_char, c_int};

use cowshed_altrep::boundary::guard;
use cowshed_altrep::core::{self, Flags};
use cowshed_altrep::sys::{self, R_CallMethodDef, SEXP};
use cowshed_altrep::verbs::{self, Wish};
use cowshed_altrep::{R, Result, Sexp, set_judge};
use cowshed_altrep::{door, interrupts, memory, named, once, proxies, slices, stored, virtuals};
use cowshed_generators as generators;

use crate::arguments::{Variable, count, flag, name, seconds, text, whole};
use crate::cache::{self, Cached};
use crate::report;

/// R's table of entry points.
pub(crate) struct Table(pub(crate) &'static [R_CallMethodDef]);

// SAFETY: names and functions, never changed.
unsafe impl Sync for Table {}

macro_rules! entries {
    ($($name:ident($($argument:ident),*) $body:expr;)*) => {
        mod c {
            use super::*;
            $(
                pub(super) unsafe extern "C-unwind" fn $name($($argument: SEXP),*) -> SEXP {
                    $(
                        // SAFETY: R passes R objects, which it protects while the call lasts.
                        let $argument = unsafe { Sexp::from_r($argument) };
                    )*
                    guard(|r| super::$name(r, $($argument),*)).into_r()
                }
            )*
        }
        $(
            #[allow(clippy::too_many_arguments, reason = "as many as the R function has")]
            fn $name(r: R, $($argument: Sexp),*) -> Result<Sexp> {
                #[allow(clippy::redundant_closure_call, reason = "the macro's way to bind `r`")]
                ($body)(r)
            }
        )*
        pub(crate) static TABLE: Table = Table(&[
            $(
                R_CallMethodDef {
                    name: concat!("cs_", stringify!($name), "\0").as_ptr().cast::<c_char>(),
                    // SAFETY: R calls it with as many arguments as the next field says.
                    fun: Some(unsafe { std::mem::transmute::<*const (), unsafe extern "C" fn() -> *mut std::ffi::c_void>(c::$name as *const ()) }),
                    numArgs: <[&str]>::len(&[$(stringify!($argument)),*]) as c_int,
                },
            )*
            R_CallMethodDef { name: std::ptr::null(), fun: None, numArgs: 0 },
        ]);
    };
}

entries! {
    share(x, copy_on_write, shared_subset, shared_copy, shared_attributes, must_work, min_length, store) |r: R| {
        let wish = Wish {
            flags: flags(r, copy_on_write, shared_subset, shared_copy)?,
            min_length: count(r, "minLength", min_length)?,
            shared_attributes: flag(r, "sharedAttributes", shared_attributes)?,
            must_work: flag(r, "mustWork", must_work)?,
            store,
        };
        verbs::share(r, x, &wish)
    };

    open_stored(path, copy_on_write, shared_subset, shared_copy) |r: R| {
        let path = stored::path(r, "path", path)?;
        stored::open(r, &path, &Wish::of_flags(flags(r, copy_on_write, shared_subset, shared_copy)?))
    };

    stored_files(x) |r: R| {
        let files = stored::files(r, x)?;
        r.strings(files.len(), |i| files[i].to_string_lossy().into_owned())
    };

    verify_stored(path) |r: R| stored::verify(r, &stored::path(r, "path", path)?).and_then(|all| r.logical(all));

    remove_stored(path) |r: R| stored::remove(&stored::path(r, "path", path)?).map(|()| Sexp::null());

    write_segment(x, path) |r: R| stored::save(r, x, &stored::path(r, "path", path)?).map(|()| Sexp::null());

    same_segment(a, b) |r: R| {
        stored::same(&stored::path(r, "a", a)?, &stored::path(r, "b", b)?).and_then(|same| r.logical(same))
    };

    read_segment(path) |r: R| {
        let wish = Wish::of_flags([Some(true), None, None]);
        stored::open(r, &stored::path(r, "path", path)?, &wish)
    };

    unshare(x) |r: R| verbs::unshare(r, x);

    is_shared(x) |r: R| verbs::any_shared(r, x).and_then(|shared| r.logical(shared));

    bindings(x) |r: R| verbs::listed(r, x).map(|bindings| bindings.unwrap_or(Sexp::null()));

    get_flag(x, bit) |r: R| match verbs::flag(x, flag_of(r, bit)?) {
        Some(value) => r.logical(value),
        None => Ok(Sexp::null()),
    };

    set_flag(x, bit, value) |r: R| {
        let value = flag(r, "value", value)?.ok_or_else(|| verbs::bad_argument("`value` must be TRUE or FALSE, not NULL"))?;
        match verbs::set_flag(r, x, flag_of(r, bit)?, value)? {
            Some(()) => r.logical(true),
            None => Ok(Sexp::null()),
        }
    };

    properties(x) |r: R| verbs::properties(r, x);

    has_proxy(x) |r: R| verbs::has_proxy(r, x).and_then(|has| r.logical(has));

    open_whole(id) |r: R| memory::open_whole(r, &name(r, "id", id)?);

    slice(x, start, length, names, old) |r: R| slices::slice(r, x, whole(r, "start", start)?, whole(r, "length", length)?, names, old);

    rows(x, rows, first, count, old) |r: R| {
        slices::rows(r, x, whole(r, "rows", rows)?, whole(r, "first", first)?, whole(r, "count", count)?, old)
    };

    send_at_once() |r: R| r.number(core::send_at_once() as f64);

    put_off_interrupts() |r: R| interrupts::put_off(r).and_then(|before| r.logical(before));

    let_interrupts(before, forget) |r: R| {
        interrupts::restore(flag(r, "before", before)? == Some(true), flag(r, "forget", forget)? == Some(true));
        Ok(Sexp::null())
    };

    wrap_altrep(x) |r: R| virtuals::wrap(r, x);

    virtual_vector(length, mode, get_region) |r: R| {
        let length = whole(r, "length", length)?;
        virtuals::of_function(r, get_region, type_of(&mode.text(r)?.unwrap_or_default()), length as u64)
    };

    virtual_sequence(from, by, length, integers) |r: R| {
        generators::sequence(r, from, by, length, flag(r, "integers", integers)? == Some(true))
    };

    virtual_constant(value, length) |r: R| generators::constant(r, value, length);

    virtual_runs(lengths, values) |r: R| generators::runs(r, lengths, values);

    virtual_linear(x, a, b) |r: R| generators::linear(r, x, a, b);

    virtual_file(path, mode, length, offset) |r: R| {
        generators::file(r, path, type_of(&mode.text(r)?.unwrap_or_default()) as u8, length, offset)
    };

    virtual_npy(path) |r: R| generators::npy(r, path);

    is_virtual(x) |r: R| r.logical(virtuals::is_virtual(x));

    is_altrep(x) |r: R| r.logical(x.is_altrep());

    blank(mode, length, attributes, copy_on_write, shared_subset, shared_copy, store) |r: R| {
        let kind = type_of(&mode.text(r)?.unwrap_or_default());
        let wish = Wish {
            flags: flags(r, copy_on_write, shared_subset, shared_copy)?,
            min_length: None,
            shared_attributes: None,
            must_work: None,
            store,
        };
        let length = count(r, "length", length)?.ok_or_else(|| verbs::bad_argument("`length` must be a number, not NULL"))?;
        verbs::blank(r, kind, length, attributes, &wish)
    };

    check_flag(name, value) |r: R| match flag(r, &name.text(r)?.unwrap_or_default(), value)? {
        Some(value) => r.logical(value),
        None => Ok(Sexp::null()),
    };

    check_count(name, value) |r: R| match count(r, &name.text(r)?.unwrap_or_default(), value)? {
        Some(value) => r.number(value as f64),
        None => Ok(Sexp::null()),
    };

    data_id(x) |r: R| match verbs::data_id(x) {
        Some(id) => r.string(&id),
        None => Ok(Sexp::null()),
    };

    private_bytes(x) |r: R| r.number(verbs::private_bytes(x).map_or(f64::NAN, |n| n as f64));

    list_store() |r: R| {
        let mut listed = verbs::list_store(r)?;
        listed.sort_by_key(|l| (l.created, l.id));
        let ids = r.strings(listed.len(), |i| listed[i].name.clone().unwrap_or_else(|| listed[i].id.to_string()))?;
        let sizes = r.numbers(listed.len(), |i| listed[i].size as f64)?;
        let named = r.numbers(listed.len(), |i| f64::from(listed[i].name.is_some()))?;
        r.list(3, |i| Ok([ids, sizes, named][i]))
    };

    report_store() |r: R| report::columns(r);

    report_memory() |r: R| report::memory(r);

    allocate(size, name) |r: R| {
        let size = count(r, "size", size)?.ok_or_else(|| verbs::bad_argument("`size` must be a number of bytes, not NULL"))?;
        let name = name.text(r)?.ok_or_else(|| verbs::bad_argument(format!("`name` must be a string, not {}", name.shown(r))))?;
        r.string(&memory::allocate(r, size as u64, &name)?)
    };

    map_memory(id) |r: R| memory::map_pointer(r, &name(r, "id", id)?);

    unmap_memory(id) |r: R| {
        memory::unmap(&name(r, "id", id)?);
        Ok(Sexp::null())
    };

    free_memory(id) |r: R| {
        memory::free(r, &name(r, "id", id)?)?;
        Ok(Sexp::null())
    };

    has_memory(id) |r: R| r.logical(memory::has(r, &name(r, "id", id)?)?);

    memory_size(id) |r: R| r.number(memory::size(r, &name(r, "id", id)?)?);

    holds_environments(x) |r: R| named::holds_environments(r, x).and_then(|holds| r.logical(holds));

    settle(x) |r: R| named::settle(r, x).map(|()| Sexp::null());

    check_views(x) |r: R| named::check(r, x).map(|()| Sexp::null());

    check_free(namespace, name) |r: R| named::check_free(r, Variable::of(r, namespace, name)?.name()).map(|()| Sexp::null());

    register(namespace, name, about, value) |r: R| {
        named::register(r, Variable::of(r, namespace, name)?.name(), about, value)?;
        Ok(Sexp::null())
    };

    card(namespace, name) |r: R| named::card(r, Variable::of(r, namespace, name)?.name());

    has_card(namespace, name) |r: R| r.logical(named::has_card(r, Variable::of(r, namespace, name)?.name())?);

    release(namespace, name, own) |r: R| {
        let own = flag(r, "own", own)? == Some(true);
        r.logical(named::release(r, Variable::of(r, namespace, name)?.name(), own)?)
    };

    owns(namespace, name) |r: R| r.logical(named::owns(r, Variable::of(r, namespace, name)?.name())?);

    card_key(namespace, name) |r: R| r.string(&named::key(r, Variable::of(r, namespace, name)?.name())?);

    release_all() |_: R| {
        named::release_all();
        Ok(Sexp::null())
    };

    last_index() |r: R| r.number(memory::last_index());

    sweep() |r: R| {
        let gone = verbs::usual_store(r)?.sweep();
        r.number(gone as f64)
    };

    store_path() |r: R| {
        let path = verbs::usual_store(r)?.path().to_string_lossy().into_owned();
        r.string(&path)
    };

    strategies() |r: R| {
        let names: Vec<_> = cowshed_altrep::registry().names().collect();
        r.strings(names.len(), |i| names[i].to_owned())
    };

    plugins() |r: R| {
        let all = door::plugins();
        let kinds = |i: usize| all[i].kinds.iter().map(|kind| door::type_name(*kind)).collect::<Vec<_>>().join(", ");
        r.named_list(&["name", "package", "door", "kinds", "abi"], |i| match i {
            0 => r.strings(all.len(), |i| all[i].name.to_owned()),
            1 => r.strings(all.len(), |i| all[i].package.to_owned()),
            2 => r.strings(all.len(), |i| all[i].door.to_owned()),
            3 => r.strings(all.len(), kinds),
            _ => r.numbers(all.len(), |i| f64::from(all[i].abi)),
        })
    };

    unregister(package) |r: R| r.number(door::unregister(&package.text(r)?.unwrap_or_default()) as f64);

    open_segment(x) |r: R| verbs::open_segment(r, x);

    once(id, shm_path, prefix, timeout, make, waiting) |r: R| {
        once::enter(r, &slot(r, shm_path, prefix, id)?, seconds(r, timeout)?, make, waiting)
    };

    once_free(id, shm_path, prefix) |r: R| {
        let freed = slot(r, shm_path, prefix, id)?.free()?;
        let lock = r.logical(freed.lock)?;
        let files = r.strings(freed.files.len(), |i| freed.files[i].display().to_string())?;
        r.list(2, |i| Ok([lock, files][i]))
    };

    once_list(shm_path, prefix) |r: R| {
        once::columns(r, &core::Once::list(&stored::path(r, "shm_path", shm_path)?, &text(r, "prefix", prefix)?)?)
    };

    valid_id(id) |r: R| r.logical(core::valid_id(&id.text(r)?.unwrap_or_default()));

    may_change_unseen(x) |r: R| r.logical(cowshed_altrep::may_change_unseen(r, x)?);

    cache_new(dir, subdir) |r: R| Cached::of(r, dir, subdir)?.new_file(r);

    cache_number(dir, subdir, files, kinds) |r: R| Cached::of(r, dir, subdir)?.number(r, files, kinds);

    cache_locate(dir, subdir, numbers) |r: R| Cached::of(r, dir, subdir)?.locate(r, numbers);

    cache_adopt(dir, subdir, numbers) |r: R| Cached::of(r, dir, subdir)?.adopt(r, numbers);

    cache_will_read(dir, subdir) |r: R| Cached::of(r, dir, subdir)?.will_read();

    cache_has_read(dir, subdir, numbers, stamp) |r: R| Cached::of(r, dir, subdir)?.has_read(r, numbers, stamp);

    cache_hold(dir, subdir, numbers) |r: R| Cached::of(r, dir, subdir)?.hold(r, numbers);

    cache_let_go(dir, numbers) |r: R| cache::let_go(r, dir, numbers);

    cache_retire(dir, subdir, numbers, hide) |r: R| Cached::of(r, dir, subdir)?.retire(r, numbers, flag(r, "hide", hide)? == Some(true));

    cache_take(dir, subdir, from, copy) |r: R| Cached::of(r, dir, subdir)?.take(r, from, flag(r, "copy", copy)? == Some(true));

    cache_new_image(image) |r: R| cache::new_image(r, image);

    cache_give_up_image(new) |r: R| cache::give_up_image(r, new);

    cache_commit(dir, subdir, new, image, numbers, drops, known) |r: R| {
        Cached::of(r, dir, subdir)?.commit(r, new, image, numbers, drops, known)
    };

    cache_tidy(dir, subdir, numbers) |r: R| Cached::of(r, dir, subdir)?.tidy(r, numbers);

    cache_stamp(image) |r: R| cache::stamp(r, image);

    cache_same(a, b) |r: R| cache::same(r, a, b);

    cache_close() |_: R| cache::close();

    set_judge_functions(frame, verdict) |r: R| {
        set_judge(r, frame, verdict)?;
        Ok(Sexp::null())
    };

    set_door_functions(s3_methods, generic, refresh, distance, proxy, restore) |r: R| {
        proxies::register(r, s3_methods, generic, [refresh, distance, proxy, restore])?;
        Ok(Sexp::null())
    };
}

fn slot(r: R, shm_path: Sexp, prefix: Sexp, id: Sexp) -> Result<core::Once> {
    let id = id.text(r)?.unwrap_or_default();
    Ok(core::Once::new(&stored::path(r, "shm_path", shm_path)?, &text(r, "prefix", prefix)?, &id)?)
}

fn flags(r: R, copy_on_write: Sexp, shared_subset: Sexp, shared_copy: Sexp) -> Result<[Option<bool>; 3]> {
    Ok([
        flag(r, "copyOnWrite", copy_on_write)?,
        flag(r, "sharedSubset", shared_subset)?,
        flag(r, "sharedCopy", shared_copy)?,
    ])
}

fn flag_of(r: R, bit: Sexp) -> Result<Flags> {
    let bits = count(r, "bit", bit)?.unwrap_or(0);
    Ok(Flags::from_bits_truncate(bits as u8))
}

/// R's number of a type of vectors, by its name; the R functions have checked it.
fn type_of(name: &str) -> sys::SexpType {
    match name {
        "raw" => sys::RAWSXP,
        "logical" => sys::LGLSXP,
        "integer" => sys::INTSXP,
        "complex" => sys::CPLXSXP,
        _ => sys::REALSXP,
    }
}
