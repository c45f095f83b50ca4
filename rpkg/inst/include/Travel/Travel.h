/*
 * Virtual vectors in C++, by the interface of the package Travel: R vectors whose elements a function makes when they are read, and whose pointer can be had
 * however long they are.
 *
 * How to use it
 *   DESCRIPTION   LinkingTo: cowshed, and Imports: cowshed
 *   your code     #include "Travel/Travel.h"
 * There is nothing to link. C++11 or later; with Rcpp, include Rcpp.h first.
 *
 * What can go wrong is an R error of class cowshed_error_generator (elements cannot be made), cowshed_error_plugin (another function failed) or
 * cowshed_error_argument (no such vector). It leaves C++ frames as R's own errors do.
 */
#ifndef COWSHED_TRAVEL_H
#define COWSHED_TRAVEL_H

#include "Travel_package_types.h"
#include "Travel_impl.h"

/* A vector of what `altrep_info` says. The struct is copied; the functions are given the copy. */
static inline SEXP Travel_make_altrep(Travel_altrep_info altrep_info)
{
    return cowshed_travel::make(altrep_info);
}

/*
 * An external pointer that deletes what it points to when R collects it, or quits:
 *   Travel_shared_ptr<int>(new int)
 *   Travel_shared_ptr<int[]>(new int[10])
 */
template <typename T>
SEXP Travel_shared_ptr(T ptr, SEXP tag = R_NilValue, SEXP prot = R_NilValue)
{
    static_assert(std::is_array<T>::value, "Travel_shared_ptr<T>(new T), or Travel_shared_ptr<T[]>(new T[n])");
    return cowshed_travel::owner<T>(ptr, tag, prot);
}

template <typename T>
SEXP Travel_shared_ptr(T *ptr, SEXP tag = R_NilValue, SEXP prot = R_NilValue)
{
    return cowshed_travel::owner<T>(ptr, tag, prot);
}

#endif
