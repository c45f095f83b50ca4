/*
 * What a virtual vector is made of: the types of Travel/Travel.h.
 *
 * Rules for the functions below
 *   - get_region(), read_blocks() and set_region() run on R's thread where R asks for elements, and on another one where somebody reads or writes the
 *     vector's pointer. They never run at the same time as one another, of whichever vectors. They must not call R, and must not read the
 *     memory of another virtual vector.
 *   - All others run on R's thread and may call R.
 *   - An exception of C++ that leaves any of them becomes an R error; so does an R error in those that may call R.
 *   - Offsets, lengths and strides are counted in elements, the first element is number 0, and what is asked for is within the vector.
 */
#ifndef COWSHED_TRAVEL_PACKAGE_TYPES_H
#define COWSHED_TRAVEL_PACKAGE_TYPES_H

#include <map>
#include <memory>
#include <string>
#include <stddef.h>
#include <stdint.h>
#ifndef Rcpp_hpp
#include <Rinternals.h>
#endif

/* Marks what extract_subset(), duplicate() or coerce() returns as none: the vector is made as if there were no such function. */
#define INVALID_ALTREP_INFO(x) (x).type = -1
#define IS_ALTREP_INFO_VALID(x) ((x).type != -1)

struct Travel_altrep_info;

/* Writes `length` elements from `offset` on to `buffer`, and returns how many it has written. Fewer than asked for is a failure. */
typedef size_t (*Travel_get_region)(const Travel_altrep_info *altrep_info, void *buffer, size_t offset, size_t length);

/* The same of elements `offset`, `offset + stride`, `offset + 2 * stride`, ..., `length` of them. `stride` is at least 1. */
typedef size_t (*Travel_read_blocks)(const Travel_altrep_info *altrep_info, void *buffer, size_t offset, size_t length, size_t stride);

/* Takes `length` elements from `offset` on that were written to the vector, or lie near such: get_region() gives them from then on. `false` if it cannot;
 * then the vector keeps them itself. It is called when the vector is used otherwise, when too many elements are waiting, and when the vector goes, but
 * not while another vector has the same private data: define `duplicate`. */
typedef bool (*Travel_set_region)(const Travel_altrep_info *altrep_info, const void *buffer, size_t offset, size_t length);

/* Bytes of the private data, for .Internal(inspect(x)). */
typedef size_t (*Travel_get_private_size)(const Travel_altrep_info *altrep_info);

/* Prints the private data, for .Internal(inspect(x)). */
typedef void (*Travel_inspect_private)(const Travel_altrep_info *altrep_info);

/* What x[idx] is made of: a vector of the same type and of the length of `idx`, whose numbers (integer or double) are from 1 to the vector's length. Any
 * other subscripts (NA, beyond the end) do not get here. */
typedef Travel_altrep_info (*Travel_extract_subset)(const Travel_altrep_info *altrep_info, SEXP idx);

/* What a duplicate of the vector is made of: the same type, length and elements. */
typedef Travel_altrep_info (*Travel_duplicate)(const Travel_altrep_info *altrep_info);

/* What the vector is made of as another type: LGLSXP, INTSXP, REALSXP, CPLXSXP or RAWSXP. If it returns a vector of yet another type, R converts that. */
typedef Travel_altrep_info (*Travel_coerce)(const Travel_altrep_info *altrep_info, int type);

/* An R function. It gets an external pointer to the vector's Travel_altrep_info, valid while it runs, and returns the R object that is saved, or sent to
 * another process, in place of the elements. */
typedef SEXP Travel_serialize;

/* An R function that gets such an object and returns the vector. It is saved and sent with the object, so it is best one of a package. */
typedef SEXP Travel_unserialize;

/* What a vector can do. One of `get_region` and `read_blocks` must be there, all else may be missing. What was written to a vector is with the vector unless
 * set_region() took it; extract_subset(), duplicate(), coerce() and serialize() are called of vectors that hold nothing of the kind. */
struct Travel_altrep_operations
{
    Travel_get_region get_region = NULL;
    Travel_read_blocks read_blocks = NULL;
    Travel_set_region set_region = NULL;
    Travel_get_private_size get_private_size = NULL;
    Travel_extract_subset extract_subset = NULL;
    Travel_duplicate duplicate = NULL;
    Travel_coerce coerce = NULL;
    Travel_serialize serialize = R_NilValue;
    Travel_unserialize unserialize = R_NilValue;
    Travel_inspect_private inspect_private = NULL;
};

/* A vector. The same elements come out whenever they are asked for, but for those that set_region() took. */
struct Travel_altrep_info
{
    Travel_altrep_operations operations;
    /* LGLSXP, INTSXP, REALSXP, CPLXSXP or RAWSXP. */
    int type = 0;
    uint64_t length = 0;
    /* For its functions; nobody else looks at it. */
    void *private_data = nullptr;
    /* Stays as long as the vector, its duplicates, its parts, and what is made of them as another type. */
    SEXP protected_data = R_NilValue;
};

#endif
