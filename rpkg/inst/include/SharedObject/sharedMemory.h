/*
 * Shared memory by id and name, from C and from C++: the functions of the R package cowshed of the same names.
 *
 * How to use it
 *   DESCRIPTION   LinkingTo: cowshed
 *   your code     #include "SharedObject/sharedMemory.h"
 * There is nothing to link: every function is found when it is first called, and cowshed is loaded then if it is not yet.
 *
 * Rules
 *   - Call them on R's thread only. The memory itself may be read and written by any thread.
 *   - What fails raises an R error (of the classes in ?allocateSharedMemory). As with R's own functions, the error leaves C++ frames
 *     without running destructors; Rcpp::unwindProtect and cpp11::safe turn it into an exception.
 *   - An id is that of a shared object (<segment> or <segment>:<node>) or of allocated memory, or the name given to the latter. UTF-8.
 *   - Nothing orders what several processes write: use atomics, or take turns.
 *
 * In C an id is a `const char *`, in C++ a std::string.
 */
#ifndef COWSHED_SHAREDOBJECT_SHAREDMEMORY_H
#define COWSHED_SHAREDOBJECT_SHAREDMEMORY_H

#include <R_ext/Rdynload.h>

#ifdef __cplusplus
#include <cstdint>
#include <string>
extern "C" {
#else
#include <stdbool.h>
#include <stdint.h>
#endif
/* As in Rinternals.h, which is not included because its macros (length, error, ...) get into the way of C++ headers. */
extern struct SEXPREC *R_BaseEnv;
extern struct SEXPREC *R_ParseEvalString(const char *, struct SEXPREC *);
#ifdef __cplusplus
}
#endif

static inline DL_FUNC cowshed_callable(const char *name)
{
    static int loaded = 0;
    if (!loaded) {
        R_ParseEvalString("base::loadNamespace('cowshed')", R_BaseEnv);
        loaded = 1;
    }
    return R_GetCCallable("cowshed", name);
}

/* Calls one of them; its address is looked up once. `type` is a pointer to function; compilers cast void (*)(void) to it without a warning. */
#define COWSHED_FUNCTION(type, name)  \
    static type function = 0;         \
    if (!function) function = (type) (void (*)(void)) cowshed_callable(name)

typedef const char *(*cowshed_allocate_t)(unsigned long long, const char *);
typedef void *(*cowshed_map_t)(const char *);
typedef void (*cowshed_void_t)(const char *);
typedef int (*cowshed_int_t)(const char *);
typedef double (*cowshed_size_t)(const char *);
typedef int (*cowshed_release_t)(const char *, int);

static inline const char *cowshed_allocate(unsigned long long size, const char *name)
{
    COWSHED_FUNCTION(cowshed_allocate_t, "allocateSharedMemory");
    return function(size, name);
}

static inline void *cowshed_map(const char *id)
{
    COWSHED_FUNCTION(cowshed_map_t, "mapSharedMemory");
    return function(id);
}

static inline void cowshed_unmap(const char *id)
{
    COWSHED_FUNCTION(cowshed_void_t, "unmapSharedMemory");
    function(id);
}

static inline void cowshed_free(const char *id)
{
    COWSHED_FUNCTION(cowshed_void_t, "freeSharedMemory");
    function(id);
}

static inline int cowshed_has(const char *id)
{
    COWSHED_FUNCTION(cowshed_int_t, "hasSharedMemory");
    return function(id);
}

static inline double cowshed_size(const char *id)
{
    COWSHED_FUNCTION(cowshed_size_t, "getSharedMemorySize");
    return function(id);
}

static inline int cowshed_is_mapped(const char *id)
{
    COWSHED_FUNCTION(cowshed_int_t, "isSharedMemoryMapped");
    return function(id);
}

static inline int cowshed_release_after_use(const char *id, int change)
{
    COWSHED_FUNCTION(cowshed_release_t, "autoReleaseAfterUse");
    return function(id, change);
}

#undef COWSHED_FUNCTION

#ifdef __cplusplus

/* Allocates `size` bytes, at least 1, and gives their id. New memory is zero. Under a name, which is its id, memory that is there
 * already is given if it has as many bytes; if it has fewer, that is an error. This process holds it until it frees it, or ends. */
static inline std::string allocateSharedMemory(unsigned long long size, const std::string &name = std::string())
{
    return cowshed_allocate(size, name.c_str());
}

/* Where the memory is in this process, aligned to 64 bytes; valid until it is unmapped or freed here. An error if there is none. Memory
 * of share() may be written only if it was shared with copyOnWrite = FALSE. */
static inline void *mapSharedMemory(const std::string &id)
{
    return cowshed_map(id.c_str());
}

/* This process does not use the pointer any more. The memory stays, and stays held, unless autoReleaseAfterUse() says otherwise. */
static inline void unmapSharedMemory(const std::string &id)
{
    cowshed_unmap(id.c_str());
}

/* Takes its name away: nobody finds it any more. Processes that have it mapped keep it until they unmap or free it, or end. */
static inline void freeSharedMemory(const std::string &id)
{
    cowshed_free(id.c_str());
}

/* Whether it is there. */
static inline bool hasSharedMemory(const std::string &id)
{
    return cowshed_has(id.c_str()) != 0;
}

/* Its bytes. An error if there is none. */
static inline double getSharedMemorySize(const std::string &id)
{
    return cowshed_size(id.c_str());
}

/* Whether this process has mapped it and not unmapped it since. */
static inline bool isSharedMemoryMapped(const std::string &id)
{
    return cowshed_is_mapped(id.c_str()) != 0;
}

/* Whether this process lets go of it when it unmaps it; it goes when no other process holds it. FALSE at first. An error if this
 * process has neither allocated nor mapped it. */
static inline bool autoReleaseAfterUse(const std::string &id)
{
    return cowshed_release_after_use(id.c_str(), -1) != 0;
}

static inline void autoReleaseAfterUse(const std::string &id, bool releaseAfterUse)
{
    cowshed_release_after_use(id.c_str(), releaseAfterUse ? 1 : 0);
}

#else /* C: the same, with C strings. */

/* `name` may be "" or NULL. The id is R_alloc()ed: it is valid until the .Call it was made in returns. */
static inline const char *allocateSharedMemory(unsigned long long size, const char *name)
{
    return cowshed_allocate(size, name);
}

static inline void *mapSharedMemory(const char *id)
{
    return cowshed_map(id);
}

static inline void unmapSharedMemory(const char *id)
{
    cowshed_unmap(id);
}

static inline void freeSharedMemory(const char *id)
{
    cowshed_free(id);
}

static inline bool hasSharedMemory(const char *id)
{
    return cowshed_has(id) != 0;
}

static inline double getSharedMemorySize(const char *id)
{
    return cowshed_size(id);
}

static inline bool isSharedMemoryMapped(const char *id)
{
    return cowshed_is_mapped(id) != 0;
}

static inline bool autoReleaseAfterUse(const char *id)
{
    return cowshed_release_after_use(id, -1) != 0;
}

/* C has no second autoReleaseAfterUse(). */
static inline void setAutoReleaseAfterUse(const char *id, bool releaseAfterUse)
{
    cowshed_release_after_use(id, releaseAfterUse ? 1 : 0);
}

#endif
#endif
