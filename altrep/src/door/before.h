/*
 * How a package in C or C++ has its own classes shared by cowshed. The page docs/door-c.md is a complete example.
 *
 * How to use it
 *   DESCRIPTION   LinkingTo: cowshed, and Imports: cowshed
 *   your code     #include <cowshed.h>, and from R_init_<package>: cowshed_register(&your_strategy)
 *                 from R_unload_<package>: cowshed_unregister("<package>")
 * There is nothing to link: the table of functions is found when the first of them is called, and cowshed is loaded then if it is not yet.
 *
 * Version 1 of the interface. Structs begin with their size and are only ever added to at their end, so a package need not be compiled
 * again for a newer cowshed of the same version; one of another version refuses its strategies, and says so.
 *
 * This file is made from altrep/src/door/abi.rs.
 */
#ifndef COWSHED_H
#define COWSHED_H

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
#else
#include <stddef.h>
#include <stdint.h>
#endif

/* Without R's macros (length, error, ...), which get into the way of C++ headers. If you want them, include Rinternals.h first. */
#ifndef R_INTERNALS_H_
#ifndef R_NO_REMAP
#define R_NO_REMAP
#endif
#endif
#include <Rinternals.h>
#include <R_ext/Rdynload.h>

#ifdef __cplusplus
extern "C" {
#endif

