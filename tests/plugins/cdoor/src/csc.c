/* How a sparse matrix is shared: rows and begins in one payload, values as another value, and R's object made again around views of them. */

#include <R.h>
#include <Rinternals.h>
#include <cowshed.h>

enum { ROWS, BEGINS, VALUES, DIM, PARTS };

/* All that is C's to check before it may be believed. */
static int is_csc(SEXP x)
{
    if (TYPEOF(x) != VECSXP || XLENGTH(x) != PARTS) return 0;
    if (TYPEOF(VECTOR_ELT(x, ROWS)) != INTSXP || TYPEOF(VECTOR_ELT(x, BEGINS)) != INTSXP) return 0;
    return TYPEOF(VECTOR_ELT(x, VALUES)) == REALSXP && XLENGTH(VECTOR_ELT(x, VALUES)) == XLENGTH(VECTOR_ELT(x, ROWS));
}

static int encode(void *state, cowshed_encoder *out, SEXP x, uint32_t *node)
{
    if (!is_csc(x)) return cowshed_fail("it is not what csc() makes");
    SEXP rows = VECTOR_ELT(x, ROWS), begins = VECTOR_ELT(x, BEGINS);
    cowshed_piece pieces[] = {
        { INTEGER(rows), (uint64_t) XLENGTH(rows) * sizeof(int) },
        { INTEGER(begins), (uint64_t) XLENGTH(begins) * sizeof(int) },
    };
    uint32_t children[] = { cowshed_encode(out, VECTOR_ELT(x, VALUES)), cowshed_encode(out, VECTOR_ELT(x, DIM)) };
    cowshed_node described = cowshed_new_node();
    described.payload = cowshed_write(out, pieces, 2);
    described.length = (uint64_t) XLENGTH(rows);
    described.aux = (uint64_t) XLENGTH(begins);
    described.attributes = cowshed_write_attributes(out, x);
    *node = cowshed_add_node(out, &described, children, 2);
    return 0;
}

static int open(void *state, cowshed_opener *from, uint32_t id, SEXP *value)
{
    cowshed_node node = cowshed_node_of(from, id);
    if (node.child_count != 2) cowshed_corrupt(from, id, "a sparse matrix has two children");
    SEXP x = PROTECT(allocVector(VECSXP, PARTS));
    SET_VECTOR_ELT(x, ROWS, cowshed_vector(from, id, INTSXP, 0, node.length));
    SET_VECTOR_ELT(x, BEGINS, cowshed_vector(from, id, INTSXP, node.length * sizeof(int), node.aux));
    SET_VECTOR_ELT(x, VALUES, cowshed_open(from, cowshed_child(from, id, 0)));
    SET_VECTOR_ELT(x, DIM, cowshed_open(from, cowshed_child(from, id, 1)));
    cowshed_restore_attributes(from, id, x);
    UNPROTECT(1);
    *value = x;
    return 0;
}

static SEXP multiply(SEXP x, SEXP v)
{
    if (!is_csc(x)) error("not a sparse matrix");
    int columns = INTEGER(VECTOR_ELT(x, DIM))[1], rows = INTEGER(VECTOR_ELT(x, DIM))[0];
    if (XLENGTH(v) != columns) error("the vector must have an element for each column");
    const int *row = INTEGER_RO(VECTOR_ELT(x, ROWS)), *begins = INTEGER_RO(VECTOR_ELT(x, BEGINS));
    const double *values = REAL_RO(VECTOR_ELT(x, VALUES));
    SEXP result = PROTECT(allocVector(REALSXP, rows));
    memset(REAL(result), 0, rows * sizeof(double));
    for (int j = 0; j < columns; j++)
        for (int k = begins[j]; k < begins[j + 1]; k++) REAL(result)[row[k]] += values[k] * REAL(v)[j];
    UNPROTECT(1);
    return result;
}

static cowshed_strategy strategy = {
    .name = "cdoor.csc",
    .package = "cdoor",
    .class_name = "csc",
    .kinds = 1u << VECSXP,
    .encode = encode,
    .open = open,
};

SEXP powers(SEXP x, SEXP n), endless(SEXP x);
void register_powers(void);

static const R_CallMethodDef calls[] = {
    {"C_multiply", (DL_FUNC) multiply, 2}, {"C_powers", (DL_FUNC) powers, 2}, {"C_endless", (DL_FUNC) endless, 1}, {NULL, NULL, 0}
};

void R_init_cdoor(DllInfo *dll)
{
    R_registerRoutines(dll, NULL, calls, NULL, NULL);
    R_useDynamicSymbols(dll, FALSE);
    cowshed_register(&strategy);
    register_powers();
}

void R_unload_cdoor(DllInfo *dll) { cowshed_unregister("cdoor"); }
