/* How Travel/Travel.h is made of cowshed.h. Include Travel/Travel.h. */
#ifndef COWSHED_TRAVEL_IMPL_H
#define COWSHED_TRAVEL_IMPL_H

#include "Travel_package_types.h"
#include "../cowshed.h"
#include <R_ext/Print.h>
#include <cstdio>
#include <exception>
#include <new>
#include <type_traits>

namespace cowshed_travel {

/* The finalizer of an external pointer; it is called once for what it points to. */
template <typename T>
void finalize(SEXP pointer)
{
    typedef typename std::remove_extent<T>::type element;
    element *value = static_cast<element *>(R_ExternalPtrAddr(pointer));
    R_ClearExternalPtr(pointer);
    typename std::conditional<std::is_array<T>::value, std::default_delete<element[]>, std::default_delete<element> >::type deleter;
    if (value) deleter(value);
}

template <typename T>
SEXP owner(typename std::remove_extent<T>::type *value, SEXP tag, SEXP prot)
{
    SEXP pointer = Rf_protect(R_MakeExternalPtr(value, tag, prot));
    R_RegisterCFinalizerEx(pointer, finalize<T>, TRUE);
    Rf_unprotect(1);
    return pointer;
}

/* Each file its own: files with and without Rcpp may be in one library, and libraries made with different versions of this header in one process. */
namespace {

inline const Travel_altrep_info *info_of(void *data)
{
    return static_cast<const Travel_altrep_info *>(data);
}

/* Runs a function of the author's; a failure if it throws. R's own errors pass: nothing here has a destructor to run. */
template <typename F>
int run(const char *name, F job)
{
    char why[512];
    SEXP jump = NULL;
    try {
        return job();
#ifdef Rcpp_hpp
    } catch (Rcpp::LongjumpException &e) {
        jump = e.token;
#endif
    } catch (std::exception &e) {
        std::snprintf(why, sizeof why, "%s(): %s", name, e.what());
    } catch (...) {
        std::snprintf(why, sizeof why, "%s() threw an exception", name);
    }
    if (jump) R_ContinueUnwind(jump);
    return cowshed_fail(why);
}

inline int complete(const char *name, size_t made, uint64_t wanted)
{
    if (made == wanted) return 0;
    char why[128];
    std::snprintf(why, sizeof why, "%s() gave %llu of %llu elements", name, (unsigned long long) made, (unsigned long long) wanted);
    return cowshed_fail(why);
}

inline int read_apart(void *data, uint64_t start, uint64_t step, uint64_t count, void *buffer)
{
    return run("read_blocks", [=] {
        const Travel_altrep_info *info = info_of(data);
        return complete("read_blocks", info->operations.read_blocks(info, buffer, (size_t) start, (size_t) count, (size_t) step), count);
    });
}

inline int read(void *data, uint64_t start, uint64_t count, void *buffer)
{
    if (!info_of(data)->operations.get_region) return read_apart(data, start, 1, count, buffer);
    return run("get_region", [=] {
        const Travel_altrep_info *info = info_of(data);
        return complete("get_region", info->operations.get_region(info, buffer, (size_t) start, (size_t) count), count);
    });
}

inline int write(void *data, uint64_t start, uint64_t count, const void *buffer)
{
    return run("set_region", [=] {
        const Travel_altrep_info *info = info_of(data);
        return info->operations.set_region(info, buffer, (size_t) start, (size_t) count) ? 0 : cowshed_fail("set_region() gave false");
    });
}

inline void release(void *data)
{
    delete static_cast<Travel_altrep_info *>(data);
}

inline SEXP make(Travel_altrep_info info);

/* Stores the vector of what a function of the author's returned; nothing if it says that there is none. */
inline int store(const char *name, const Travel_altrep_info &made, int type, uint64_t length, SEXP *value)
{
    if (!IS_ALTREP_INFO_VALID(made)) return 0;
    if (made.type != type || made.length != length) {
        char why[256];
        std::snprintf(why, sizeof why, "%s() gave %llu elements of type %s, not %llu of type %s", name, (unsigned long long) made.length,
                      Rf_type2char((SEXPTYPE) made.type), (unsigned long long) length, Rf_type2char((SEXPTYPE) type));
        return cowshed_fail(why);
    }
    *value = make(made);
    return 0;
}

/* Whether all subscripts are numbers from 1 to `length`. */
inline bool are_inside(SEXP index, uint64_t length)
{
    const R_xlen_t n = Rf_xlength(index);
    const double end = (double) length + 1;
    int ints[512];
    double doubles[512];
    for (R_xlen_t i = 0, got; i < n; i += got) {
        if (TYPEOF(index) == INTSXP) {
            got = INTEGER_GET_REGION(index, i, 512, ints);
            for (R_xlen_t k = 0; k < got; k++)
                if (ints[k] < 1 || (uint64_t) ints[k] > length) return false;
        } else if (TYPEOF(index) == REALSXP) {
            got = REAL_GET_REGION(index, i, 512, doubles);
            for (R_xlen_t k = 0; k < got; k++)
                if (!(doubles[k] >= 1 && doubles[k] < end)) return false;
        } else {
            return false;
        }
        if (got < 1) return false;
    }
    return true;
}

inline int subset(void *data, SEXP, SEXP index, SEXP *value)
{
    const Travel_altrep_info *info = info_of(data);
    if (!info->operations.extract_subset || Rf_xlength(index) == 0 || !are_inside(index, info->length)) return 0;
    return run("extract_subset", [=] {
        return store("extract_subset", info->operations.extract_subset(info, index), info->type, (uint64_t) Rf_xlength(index), value);
    });
}

inline int duplicate(void *data, SEXP, SEXP *value)
{
    const Travel_altrep_info *info = info_of(data);
    if (!info->operations.duplicate) return 0;
    return run("duplicate", [=] { return store("duplicate", info->operations.duplicate(info), info->type, info->length, value); });
}

inline int coerce(void *data, SEXP, uint32_t kind, SEXP *value)
{
    const Travel_altrep_info *info = info_of(data);
    const bool has_vectors = kind == LGLSXP || kind == INTSXP || kind == REALSXP || kind == CPLXSXP || kind == RAWSXP;
    if (!info->operations.coerce || !has_vectors) return 0;
    return run("coerce", [=] {
        Travel_altrep_info made = info->operations.coerce(info, (int) kind);
        /* Another type than was asked for is R's to convert. */
        if (made.type != (int) kind) made.operations.coerce = NULL;
        if (store("coerce", made, made.type, info->length, value)) return 1;
        if (*value && made.type != (int) kind) {
            SEXP x = Rf_protect(*value);
            *value = Rf_coerceVector(x, (SEXPTYPE) kind);
            Rf_unprotect(1);
        }
        return 0;
    });
}

inline int recipe(void *data, SEXP, SEXP *state, SEXP *function)
{
    const Travel_altrep_info *info = info_of(data);
    SEXP pointer = Rf_protect(R_MakeExternalPtr(data, R_NilValue, R_NilValue));
    SEXP call = Rf_protect(Rf_lang2(info->operations.serialize, pointer));
    *state = Rf_eval(call, R_GlobalEnv);
    R_ClearExternalPtr(pointer);
    Rf_unprotect(2);
    *function = info->operations.unserialize;
    return 0;
}

inline int inspect(void *data, SEXP)
{
    const Travel_altrep_info *info = info_of(data);
    const Travel_altrep_operations &can = info->operations;
    Rprintf("  made by Travel_make_altrep():%s%s%s%s%s%s%s%s%s%s\n", can.get_region ? " get_region" : "", can.read_blocks ? " read_blocks" : "",
            can.set_region ? " set_region" : "", can.get_private_size ? " get_private_size" : "", can.extract_subset ? " extract_subset" : "",
            can.duplicate ? " duplicate" : "", can.coerce ? " coerce" : "", can.serialize != R_NilValue ? " serialize" : "",
            can.unserialize != R_NilValue ? " unserialize" : "", can.inspect_private ? " inspect_private" : "");
    return run("inspect_private", [=] {
        if (can.get_private_size) Rprintf("  private data: %llu bytes\n", (unsigned long long) can.get_private_size(info));
        if (can.inspect_private) can.inspect_private(info);
        return 0;
    });
}

/* Vectors with the same functions are of one kind. */
inline cowshed_virtual *kind_of(const Travel_altrep_operations &can)
{
    static cowshed_virtual kinds[8];
    const bool has_recipe = can.serialize != R_NilValue;
    cowshed_virtual *kind = kinds + (can.set_region ? 1 : 0) + (has_recipe ? 2 : 0) + (can.read_blocks ? 4 : 0);
    kind->description = "made by Travel_make_altrep()";
    kind->flags = COWSHED_ONE_AT_A_TIME;
    kind->read = read;
    kind->write = can.set_region ? write : NULL;
    kind->release = release;
    kind->recipe = has_recipe ? recipe : NULL;
    kind->subset = subset;
    kind->duplicate = duplicate;
    kind->coerce = coerce;
    kind->inspect = inspect;
    kind->read_apart = can.read_blocks ? read_apart : NULL;
    return kind;
}

inline SEXP or_null(SEXP x)
{
    return x ? x : R_NilValue;
}

inline SEXP make(Travel_altrep_info info)
{
    Travel_altrep_operations &can = info.operations;
    SEXP kept = Rf_protect(or_null(info.protected_data));
    SEXP serialize = Rf_protect(can.serialize = or_null(can.serialize));
    SEXP unserialize = Rf_protect(can.unserialize = or_null(can.unserialize));
    cowshed_table_for(kind_of(can));
    if (!can.get_region && !can.read_blocks) cowshed_stop("Travel_make_altrep(): a vector needs get_region() or read_blocks()");
    if (serialize != R_NilValue && (!Rf_isFunction(serialize) || !Rf_isFunction(unserialize))) {
        if (!Rf_isFunction(serialize)) cowshed_stop("Travel_make_altrep(): serialize must be an R function");
        Rf_warning("Travel_make_altrep(): serialize without unserialize, an R function, is not used");
        can.serialize = R_NilValue;
    }
    SEXP keep = kept;
    if (can.serialize != R_NilValue) {
        keep = Rf_allocVector(VECSXP, 3);
        SET_VECTOR_ELT(keep, 0, kept);
        SET_VECTOR_ELT(keep, 1, serialize);
        SET_VECTOR_ELT(keep, 2, unserialize);
    }
    Rf_protect(keep);
    Travel_altrep_info *data = new (std::nothrow) Travel_altrep_info(info);
    if (!data) cowshed_stop("Travel_make_altrep(): out of memory");
    SEXP x = cowshed_virtual_vector(kind_of(can), data, (uint32_t) info.type, info.length, keep);
    Rf_unprotect(4);
    return x;
}

} // namespace
} // namespace cowshed_travel

#endif
