/* What packages do to vectors through R's C interface; compiled by helper-c.R. */
#include <R.h>
#include <Rinternals.h>
#include <string.h>

SEXP t_duplicate(SEXP x) { return Rf_duplicate(x); }
SEXP t_shallow_duplicate(SEXP x) { return Rf_shallow_duplicate(x); }
SEXP t_lazy_duplicate(SEXP x) { return Rf_lazy_duplicate(x); }
SEXP t_coerce(SEXP x, SEXP type) { return Rf_coerceVector(x, Rf_asInteger(type)); }
SEXP t_lengthgets(SEXP x, SEXP n) { return Rf_xlengthgets(x, (R_xlen_t) Rf_asReal(n)); }
SEXP t_same_object(SEXP x, SEXP y) { return Rf_ScalarLogical(x == y); }
SEXP t_maybe_shared(SEXP x) { return Rf_ScalarLogical(MAYBE_SHARED(x)); }

SEXP t_copy_most(SEXP x, SEXP y)
{
    SEXP z = PROTECT(Rf_shallow_duplicate(y));
    Rf_copyMostAttrib(x, z);
    UNPROTECT(1);
    return z;
}

static size_t size_of(SEXP x)
{
    switch (TYPEOF(x)) {
    case RAWSXP: return sizeof(Rbyte);
    case LGLSXP: case INTSXP: return sizeof(int);
    case REALSXP: return sizeof(double);
    case CPLXSXP: return sizeof(Rcomplex);
    default: Rf_error("no vector of numbers");
    }
}

static void *writable(SEXP x)
{
    switch (TYPEOF(x)) {
    case RAWSXP: return RAW(x);
    case LGLSXP: return LOGICAL(x);
    case INTSXP: return INTEGER(x);
    case REALSXP: return REAL(x);
    case CPLXSXP: return COMPLEX(x);
    default: Rf_error("no vector of numbers");
    }
}

/* Takes a writable pointer and writes nothing; whether the elements read through it are those read one by one. */
SEXP t_writable(SEXP x) { return Rf_ScalarLogical(writable(x) != NULL || XLENGTH(x) == 0); }

/* Writes element j's bytes over element i's (from 0), in place, as C code that has bad manners does. */
SEXP t_write(SEXP x, SEXP i, SEXP j)
{
    size_t n = size_of(x);
    char *p = writable(x);
    memcpy(p + n * (size_t) Rf_asReal(i), p + n * (size_t) Rf_asReal(j), n);
    return R_NilValue;
}

SEXP t_write_elt(SEXP x, SEXP i, SEXP value)
{
    R_xlen_t k = (R_xlen_t) Rf_asReal(i);
    switch (TYPEOF(x)) {
    case LGLSXP: SET_LOGICAL_ELT(x, k, Rf_asLogical(value)); break;
    case INTSXP: SET_INTEGER_ELT(x, k, Rf_asInteger(value)); break;
    case REALSXP: SET_REAL_ELT(x, k, Rf_asReal(value)); break;
    default: Rf_error("no setter in this test");
    }
    return R_NilValue;
}

/* The elements, as a raw vector, read through the pointer `how` says. */
SEXP t_read(SEXP x, SEXP how)
{
    const void *p = NULL;
    switch (Rf_asInteger(how)) {
    case 0: p = writable(x); break;
    case 1:
        switch (TYPEOF(x)) {
        case RAWSXP: p = RAW_RO(x); break;
        case LGLSXP: p = LOGICAL_RO(x); break;
        case INTSXP: p = INTEGER_RO(x); break;
        case REALSXP: p = REAL_RO(x); break;
        case CPLXSXP: p = COMPLEX_RO(x); break;
        }
        break;
    case 2: p = DATAPTR_RO(x); break;
    case 3: p = DATAPTR_OR_NULL(x); break;
    }
    if (p == NULL) return R_NilValue;
    size_t n = size_of(x) * (size_t) XLENGTH(x);
    SEXP out = PROTECT(Rf_allocVector(RAWSXP, (R_xlen_t) n));
    memcpy(RAW(out), p, n);
    UNPROTECT(1);
    return out;
}

/* By element. */
SEXP t_elt_sum(SEXP x)
{
    double sum = 0;
    for (R_xlen_t i = 0; i < XLENGTH(x); i++) {
        switch (TYPEOF(x)) {
        case RAWSXP: sum += RAW_ELT(x, i); break;
        case LGLSXP: sum += LOGICAL_ELT(x, i); break;
        case INTSXP: sum += INTEGER_ELT(x, i); break;
        case REALSXP: sum += REAL_ELT(x, i); break;
        case CPLXSXP: sum += COMPLEX_ELT(x, i).r; break;
        }
    }
    return Rf_ScalarReal(sum);
}

/* By regions of 7, the last of which reaches beyond the end. */
SEXP t_region_sum(SEXP x)
{
    union { Rbyte raw[7]; int i[7]; double d[7]; Rcomplex c[7]; } buffer;
    double sum = 0;
    R_xlen_t at = 0, got;
    while (at < XLENGTH(x)) {
        switch (TYPEOF(x)) {
        case RAWSXP: got = RAW_GET_REGION(x, at, 7, buffer.raw); break;
        case LGLSXP: got = LOGICAL_GET_REGION(x, at, 7, buffer.i); break;
        case INTSXP: got = INTEGER_GET_REGION(x, at, 7, buffer.i); break;
        case REALSXP: got = REAL_GET_REGION(x, at, 7, buffer.d); break;
        case CPLXSXP: got = COMPLEX_GET_REGION(x, at, 7, buffer.c); break;
        default: Rf_error("no vector of numbers");
        }
        if (got < 1 || got > 7) Rf_error("a region of %d", (int) got);
        for (int k = 0; k < got; k++) {
            switch (TYPEOF(x)) {
            case RAWSXP: sum += buffer.raw[k]; break;
            case LGLSXP: case INTSXP: sum += buffer.i[k]; break;
            case REALSXP: sum += buffer.d[k]; break;
            case CPLXSXP: sum += buffer.c[k].r; break;
            }
        }
        at += got;
    }
    return Rf_ScalarReal(sum);
}

/* Whether the two writable pointers are one address, and the two read-only ones. */
SEXP t_pointers(SEXP x, SEXP y)
{
    int read = DATAPTR_RO(x) == DATAPTR_RO(y);
    int write = writable(x) == writable(y);
    SEXP out = Rf_allocVector(LGLSXP, 2);
    LOGICAL(out)[0] = read;
    LOGICAL(out)[1] = write;
    return out;
}

/* A byte of the memory behind an external pointer, read and written. */
SEXP t_peek(SEXP pointer, SEXP at)
{
    return Rf_ScalarInteger(((unsigned char *) R_ExternalPtrAddr(pointer))[(size_t) Rf_asReal(at)]);
}

SEXP t_poke(SEXP pointer, SEXP at, SEXP value)
{
    ((unsigned char *) R_ExternalPtrAddr(pointer))[(size_t) Rf_asReal(at)] = (unsigned char) Rf_asInteger(value);
    return R_NilValue;
}

/* The strings, as a plain vector, read through the pointer `how` says, or one by one. */
SEXP t_strings(SEXP x, SEXP how)
{
    R_xlen_t n = XLENGTH(x);
    const SEXP *p = NULL;
    switch (Rf_asInteger(how)) {
    case 0: p = (const SEXP *) DATAPTR(x); break;
    case 1: p = STRING_PTR_RO(x); break;
    case 2: p = (const SEXP *) DATAPTR_RO(x); break;
    }
    SEXP out = PROTECT(Rf_allocVector(STRSXP, n));
    for (R_xlen_t i = 0; i < n; i++) SET_STRING_ELT(out, i, p ? p[i] : STRING_ELT(x, i));
    UNPROTECT(1);
    return out;
}

/* Writes element i, counted from 1, in place. */
SEXP t_set_string(SEXP x, SEXP i, SEXP value)
{
    SET_STRING_ELT(x, Rf_asInteger(i) - 1, STRING_ELT(value, 0));
    return R_NilValue;
}
