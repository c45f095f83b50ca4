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

/* Version of this interface. cowshed refuses a strategy of another one. */
#define COWSHED_ABI 1u
/* No node. */
#define COWSHED_NONE 4294967295u
/* A claim: not mine. */
#define COWSHED_CLAIM_NO 0u
/* A claim: only if nobody else wants it. */
#define COWSHED_CLAIM_FALLBACK 1u
/* A claim: by its type. The strategies of R's own types claim so. */
#define COWSHED_CLAIM_TYPE 2u
/* A claim by class is this plus a number, the larger the more specific. */
#define COWSHED_CLAIM_CLASS 3u
/* A claim: by class, as without claim(). It is COWSHED_CLASS(101) for the last class of class(x) and for an S4 object's own, one more
 * for each class before the last, one less for each step up the classes that an S4 class extends. */
#define COWSHED_CLAIM_BY_CLASS 4294967294u
/* No claim: claim() failed. */
#define COWSHED_CLAIM_FAILED 4294967295u
/* In a strategy's flags: it came through the Rust crate cowshed-plugins. */
#define COWSHED_WRITTEN_IN_RUST 1u
/* In the flags of virtual vectors: their elements are made on R's thread alone, where read() may call R. A pointer to them is one to a
 * copy of all. */
#define COWSHED_R_THREAD 1u
/* In the flags of virtual vectors: of all kinds with this flag, one function that makes or takes elements runs at a time. */
#define COWSHED_ONE_AT_A_TIME 16u
/* In the flags of virtual vectors: none is NA. */
#define COWSHED_NO_NA 2u
/* In the flags of virtual vectors: none is less than the one before it. */
#define COWSHED_INCREASING 4u
/* In the flags of virtual vectors: none is more than the one before it. */
#define COWSHED_DECREASING 8u

/* What a value is written to, while encode() runs. */
typedef struct cowshed_encoder cowshed_encoder;
/* What a value is made from, while open() or replace() runs. */
typedef struct cowshed_opener cowshed_opener;
typedef struct cowshed_payload cowshed_payload;
typedef struct cowshed_piece cowshed_piece;
typedef struct cowshed_node cowshed_node;
typedef struct cowshed_strategy cowshed_strategy;
typedef struct cowshed_virtual cowshed_virtual;
typedef struct cowshed_host cowshed_host;

/* Where bytes that were written lie. {0, 0} for none. */
struct cowshed_payload {
    /* From the beginning of the segment, in bytes. */
    uint64_t offset;
    /* In bytes. */
    uint64_t length;
};

/* Bytes to be written. */
struct cowshed_piece {
    /* Where they begin. */
    const void *bytes;
    /* How many. */
    uint64_t length;
};

/* One value in a segment. */
struct cowshed_node {
    /* sizeof(cowshed_node). */
    uint32_t size;
    /* The node of its attributes, from write_attributes(); COWSHED_NONE if it has none. */
    uint32_t attributes;
    /* The value's length, for the strategy to read again. */
    uint64_t length;
    /* Its bytes. */
    cowshed_payload payload;
    /* A number for the strategy to read again, below 2^56. */
    uint64_t aux;
    /* How many children it has: read_node() says. add_node() is told by its own argument. */
    uint32_t child_count;
    /* Zero. */
    uint32_t reserved;
};

/* How one class of objects is shared. Register it with cowshed_register(), which copies it.
 *
 * A callback returns 0, or anything else if it failed: `return cowshed_fail("why");`. It may call R, and an R error that leaves it, its
 * own or R's, is caught and becomes one of class cowshed_error_plugin that names package and strategy. Nothing is left in shared memory
 * then. A C++ exception must not leave it. */
struct cowshed_strategy {
    /* sizeof(cowshed_strategy); cowshed_register() sets it. */
    uint32_t size;
    /* COWSHED_ABI; cowshed_register() sets it. */
    uint32_t abi;
    /* The package's name, a dot, and a name without dots: "mypkg.thing". It is written into every segment that uses the strategy, and
     * tells a process that lacks it which package to load. */
    const char *name;
    /* The package's name. */
    const char *package;
    /* The S3 or S4 class of what it shares; NULL if only claim() knows. */
    const char *class_name;
    /* The types it shares: 1 << SEXPTYPE of each. */
    uint32_t kinds;
    /* 0, or COWSHED_WRITTEN_IN_RUST. */
    uint32_t flags;
    /* Given to every callback. */
    void *state;
    /* Whether `x`, of one of the types and of the class if there is one, is its own: one of the COWSHED_CLAIM numbers, or
     * COWSHED_CLASS(n). The largest claim wins, and a tie is an error. It is asked often, so it must be quick. NULL: by class, more
     * specific the earlier the class is in class(x). */
    uint32_t (*claim)(void *state, SEXP x);
    /* Writes `x` and stores its node. */
    int (*encode)(void *state, cowshed_encoder *out, SEXP x, uint32_t *node);
    /* Makes the value of a node again and stores it; it need not be protected. The bytes of a segment were checked for their place, not
     * for their meaning: check lengths and aux, and say cowshed_corrupt() of nonsense. */
    int (*open)(void *state, cowshed_opener *from, uint32_t node, SEXP *value);
    /* Makes what share() returns for `original`, which was just written as `node`. NULL: as open(). */
    int (*replace)(void *state, cowshed_opener *from, SEXP original, uint32_t node, SEXP *value);
};

/* How the elements of a kind of virtual vectors are made: see virtual_vector(). It stays where it is, and as it is, for the life of the
 * process; so does the library that has it.
 *
 * A callback returns 0, or anything else if it failed: `return cowshed_fail("why");`. Those that are given no R object run on any
 * thread, several at once, and must not call R or read the memory of a virtual vector, unless COWSHED_R_THREAD says otherwise. All
 * others run on R's thread and may call R, whose errors may leave them. A C++ exception must not leave any. Only read() must be there.
 * Whoever stores NULL as a value leaves the matter to cowshed. */
struct cowshed_virtual {
    /* sizeof(cowshed_virtual); cowshed_virtual_vector() and cowshed_register_virtual() set it. */
    uint32_t size;
    /* COWSHED_ABI; they set it too. */
    uint32_t abi;
    /* The package's name, a dot, and a name without dots: "mypkg.thing". It tells another process which package to load for restore().
     * NULL for vectors that are sent as their elements. */
    const char *name;
    /* What they are, in a few words, for messages; NULL for the name. */
    const char *description;
    /* COWSHED_R_THREAD, COWSHED_ONE_AT_A_TIME, COWSHED_NO_NA, COWSHED_INCREASING, COWSHED_DECREASING. What is said of the elements is
     * believed only if there is no write(). */
    uint32_t flags;
    /* Zero. */
    uint32_t reserved;
    /* Writes `count` elements, the first being number `start` (from 0 on), to `buffer`. They are never beyond the end. The same elements
     * come out whenever they are asked for. */
    int (*read)(void *data, uint64_t start, uint64_t count, void *buffer);
    /* Takes elements that were written to the vector, or lie near such: read() gives them from then on. It is asked when there are too
     * many of them, before another callback is, and at the end; not as long as another vector has the same `data` (a part, or a
     * duplicate without duplicate()). If it fails, or there is none, cowshed keeps them for the vector. */
    int (*write)(void *data, uint64_t start, uint64_t count, const void *buffer);
    /* No vector needs `data` any more. */
    void (*release)(void *data);
    /* Stores what makes the vector again in another process: for restore(), or, if a `function` is stored too, for that R function. It
     * is the whole vector that is to be made again; `x` may be a part of it, or it as another type. */
    int (*recipe)(void *data, SEXP x, SEXP *state, SEXP *function);
    /* Stores the vector that recipe() stored the `state` of. */
    int (*restore)(SEXP state, SEXP *value);
    /* Stores the elements of `x` that the `index` selects. Its subscripts are numbers from 1 on, or NA, or beyond the end. */
    int (*subset)(void *data, SEXP x, SEXP index, SEXP *value);
    /* Stores a vector that is `x` again, and can be written to. */
    int (*duplicate)(void *data, SEXP x, SEXP *value);
    /* Stores `x` as a vector of another type (a SEXPTYPE). */
    int (*coerce)(void *data, SEXP x, uint32_t kind, SEXP *value);
    /* Prints more about the vector, with Rprintf(), below what .Internal(inspect(x)) shows. */
    int (*inspect)(void *data, SEXP x);
    /* As read(), of elements `start`, `start + step`, `start + 2 * step`, ..., `count` of them. NULL: read() is asked for them. */
    int (*read_apart)(void *data, uint64_t start, uint64_t step, uint64_t count, void *buffer);
    /* Stores a descriptor of the file in which all elements lie, from byte `offset` on, just as they are in memory: it stays the
     * caller's. A pointer to them is a private mapping of the file then. Anything else than 0: there is none. */
    int (*file)(void *data, int *descriptor, uint64_t *offset);
};

/* cowshed's functions. Call them by their names with cowshed_ in front, on R's thread, and those that take an encoder or an opener only
 * within the callback that it was given to. What fails is an R error, which leaves your function as R's own errors do. R objects that
 * they return are not protected. */
struct cowshed_host {
    /* sizeof(cowshed_host) in the cowshed that is loaded: it may have more functions than this header knows. */
    uint32_t size;
    /* The version of the interface it has. */
    uint32_t abi;
    /* Registers a strategy. Errors (cowshed_error_plugin): another ABI, a name without the package's, a name that another library has
     * registered, no types, neither class nor claim(), no encode() or open(). */
    void (*register_strategy)(const cowshed_strategy *strategy);
    /* Removes the strategies of a package and says how many they were. Call it from `R_unload_<package>`. Shared objects stay as they
     * are, and so does the library's code. */
    int (*unregister)(const char *package);
    /* Keeps a message for the error and returns 1, for the callback to return. */
    int (*fail)(const char *message);
    /* Writes pieces of bytes one after the other as one payload, which begins at a multiple of 64. Errors: no room, interrupted. */
    cowshed_payload (*write)(cowshed_encoder *out, const cowshed_piece *pieces, uint32_t count);
    /* Writes another value, whichever strategy it takes, and returns its node. One object met twice is one node. Errors: those of the
     * strategy; nested too deeply. */
    uint32_t (*encode)(cowshed_encoder *out, SEXP x);
    /* Writes the attributes of `x` and returns their node, for add_node(); COWSHED_NONE if it has none. */
    uint32_t (*write_attributes)(cowshed_encoder *out, SEXP x);
    /* Adds a node of this strategy, with children, and returns it. Errors (cowshed_error_plugin): a payload or a node that was not
     * written by this callback, an aux that is too large. */
    uint32_t (*add_node)(cowshed_encoder *out, const cowshed_node *node, const uint32_t *children, uint32_t count);
    /* Reads a node. Set `node->size` first. Errors (cowshed_error_corrupt, here and below): there is no such node. */
    void (*read_node)(cowshed_opener *from, uint32_t id, cowshed_node *node);
    /* The node of child `i`, from 0 on. Errors: there is no such child. */
    uint32_t (*child)(cowshed_opener *from, uint32_t id, uint32_t i);
    /* The bytes of a node's payload, read-only, aligned to 64. Valid within the callback. Other processes may change them meanwhile if
     * the object is being shared with copyOnWrite = FALSE. */
    const void *(*bytes)(cowshed_opener *from, uint32_t id);
    /* A shared vector of `length` elements of the type (RAWSXP, LGLSXP, INTSXP, REALSXP, CPLXSXP) that begins `offset` bytes into the
     * node's payload, with no copy (but below minLength it is a plain vector). It is sent to other processes by reference, also where
     * the package is not installed. Errors: it does not fit the payload, or `offset` is no multiple of the element's size. */
    SEXP (*vector)(cowshed_opener *from, uint32_t id, uint32_t kind, uint64_t offset, uint64_t length);
    /* The value of another node, whichever strategy wrote it. */
    SEXP (*open)(cowshed_opener *from, uint32_t id);
    /* In replace(): what stands for `original`, which was written as this node. */
    SEXP (*replace)(cowshed_opener *from, SEXP original, uint32_t id);
    /* Gives a new object the attributes of a node. */
    void (*restore_attributes)(cowshed_opener *from, uint32_t id, SEXP x);
    /* In replace(): gives `x`, which stands for `original`, its attributes, long ones shared. The node is that of `original`. */
    void (*take_attributes)(cowshed_opener *from, SEXP original, uint32_t id, SEXP x);
    /* Raises cowshed_error_corrupt: the node is nonsense, and why. Does not return. */
    void (*corrupt)(cowshed_opener *from, uint32_t id, const char *why);
    /* Registers the restore() of a kind of virtual vectors, by its name. Call it when the package is loaded. Errors
     * (cowshed_error_plugin): another ABI, a name that is none, no restore(). */
    void (*register_virtual)(const cowshed_virtual *kind);
    /* A virtual vector of `length` elements of a type (LGLSXP, INTSXP, REALSXP, CPLXSXP, RAWSXP), which are made when they are read.
     * `data` is given to every callback, and belongs to the vector: release() is called also if this fails, and when the last vector
     * that needs it is gone. `keep` is an R object that stays as long as `data` is in use; R_NilValue for none. Errors: another type;
     * more than 2^52 elements. */
    SEXP (*virtual_vector)(const cowshed_virtual *kind, void *data, uint32_t vector_type, uint64_t length, SEXP keep);
    /* Raises cowshed_error_plugin with a message. Does not return. */
    void (*stop)(const char *message);
};

#ifdef __cplusplus
}
#endif

/* A claim by class, the larger the number the more specific. */
#define COWSHED_CLASS(n) (COWSHED_CLAIM_CLASS + (uint32_t) (n))

/* cowshed's table. One for all files of a library, so that a callback on another thread has what R's thread has found. */
#if defined(__GNUC__) && !defined(_WIN32)
__attribute__((weak, visibility("hidden"))) const cowshed_host *cowshed_found;
#else
static const cowshed_host *cowshed_found;
#endif

/* The same, looked up at the first call, which must be on R's thread. */
static inline const cowshed_host *cowshed_table(void)
{
    if (!cowshed_found) {
        typedef const cowshed_host *(*getter)(void);
        R_ParseEvalString("base::loadNamespace('cowshed')", R_BaseEnv);
        cowshed_found = ((getter) (void (*)(void)) R_GetCCallable("cowshed", "cowshed_host"))();
    }
    return cowshed_found;
}

/* Registers a strategy for the life of the package, or until cowshed_unregister(); see register_strategy. Sets its size and abi. */
static inline void cowshed_register(cowshed_strategy *strategy)
{
    if (cowshed_table()->abi == COWSHED_ABI && cowshed_table()->size < sizeof(cowshed_host)) {
        Rf_error("the package '%s' was built for a newer cowshed than the one that is loaded; install the newest cowshed", strategy->package);
    }
    strategy->size = (uint32_t) sizeof *strategy;
    strategy->abi = COWSHED_ABI;
    cowshed_table()->register_strategy(strategy);
}

/* Refuses a cowshed that has less than this header; sets the size and abi of a kind of virtual vectors. */
static inline const cowshed_host *cowshed_table_for(cowshed_virtual *kind)
{
    if (cowshed_table()->abi != COWSHED_ABI || cowshed_table()->size < sizeof(cowshed_host)) {
        Rf_error("virtual vectors of '%s' need another cowshed than the one that is loaded; install the newest cowshed, then their package again",
                 kind->name ? kind->name : kind->description ? kind->description : "a package");
    }
    kind->size = (uint32_t) sizeof *kind;
    kind->abi = COWSHED_ABI;
    return cowshed_table();
}

/* A virtual vector; see virtual_vector. Sets the size and abi of `kind`. */
static inline SEXP cowshed_virtual_vector(cowshed_virtual *kind, void *data, uint32_t vector_type, uint64_t length, SEXP keep)
{
    return cowshed_table_for(kind)->virtual_vector(kind, data, vector_type, length, keep);
}

/* Registers the restore() of a kind of virtual vectors; see register_virtual. Sets its size and abi. */
static inline void cowshed_register_virtual(cowshed_virtual *kind)
{
    cowshed_table_for(kind)->register_virtual(kind);
}

/* A node with nothing in it, to be filled. */
static inline cowshed_node cowshed_new_node(void)
{
    cowshed_node node = { (uint32_t) sizeof(cowshed_node), COWSHED_NONE, 0, { 0, 0 }, 0, 0, 0 };
    return node;
}

/* Reads a node; see read_node. */
static inline cowshed_node cowshed_node_of(cowshed_opener *from, uint32_t id)
{
    cowshed_node node = cowshed_new_node();
    cowshed_table()->read_node(from, id, &node);
    return node;
}

/* Writes bytes that lie in one piece; see write. */
static inline cowshed_payload cowshed_write_bytes(cowshed_encoder *out, const void *bytes, uint64_t length)
{
    cowshed_piece piece = { bytes, length };
    return cowshed_table()->write(out, &piece, 1);
}

static inline int cowshed_unregister(const char *package)
{
    return cowshed_table()->unregister(package);
}

static inline int cowshed_fail(const char *message)
{
    return cowshed_table()->fail(message);
}

static inline cowshed_payload cowshed_write(cowshed_encoder *out, const cowshed_piece *pieces, uint32_t count)
{
    return cowshed_table()->write(out, pieces, count);
}

static inline uint32_t cowshed_encode(cowshed_encoder *out, SEXP x)
{
    return cowshed_table()->encode(out, x);
}

static inline uint32_t cowshed_write_attributes(cowshed_encoder *out, SEXP x)
{
    return cowshed_table()->write_attributes(out, x);
}

static inline uint32_t cowshed_add_node(cowshed_encoder *out, const cowshed_node *node, const uint32_t *children, uint32_t count)
{
    return cowshed_table()->add_node(out, node, children, count);
}

static inline void cowshed_read_node(cowshed_opener *from, uint32_t id, cowshed_node *node)
{
    cowshed_table()->read_node(from, id, node);
}

static inline uint32_t cowshed_child(cowshed_opener *from, uint32_t id, uint32_t i)
{
    return cowshed_table()->child(from, id, i);
}

static inline const void *cowshed_bytes(cowshed_opener *from, uint32_t id)
{
    return cowshed_table()->bytes(from, id);
}

static inline SEXP cowshed_vector(cowshed_opener *from, uint32_t id, uint32_t kind, uint64_t offset, uint64_t length)
{
    return cowshed_table()->vector(from, id, kind, offset, length);
}

static inline SEXP cowshed_open(cowshed_opener *from, uint32_t id)
{
    return cowshed_table()->open(from, id);
}

static inline SEXP cowshed_replace(cowshed_opener *from, SEXP original, uint32_t id)
{
    return cowshed_table()->replace(from, original, id);
}

static inline void cowshed_restore_attributes(cowshed_opener *from, uint32_t id, SEXP x)
{
    cowshed_table()->restore_attributes(from, id, x);
}

static inline void cowshed_take_attributes(cowshed_opener *from, SEXP original, uint32_t id, SEXP x)
{
    cowshed_table()->take_attributes(from, original, id, x);
}

static inline void cowshed_corrupt(cowshed_opener *from, uint32_t id, const char *why)
{
    cowshed_table()->corrupt(from, id, why);
}

static inline void cowshed_stop(const char *message)
{
    cowshed_table()->stop(message);
}

#endif
