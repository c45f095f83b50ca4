/* A virtual vector: x^0, x^1, x^2, ..., each made when it is read. */

#include <R.h>
#include <Rinternals.h>
#include <cowshed.h>
#include <math.h>

static int read(void *data, uint64_t start, uint64_t count, void *buffer)
{
    double x = *(double *) data, *out = buffer;
    for (uint64_t i = 0; i < count; i++) out[i] = pow(x, (double) (start + i));
    return 0;
}

static cowshed_virtual kind = { .description = "powers", .read = read, .release = free };

SEXP powers(SEXP x, SEXP n)
{
    double *data = malloc(sizeof *data);
    if (!data) error("out of memory");
    *data = asReal(x);
    return cowshed_virtual_vector(&kind, data, REALSXP, (uint64_t) asReal(n), R_NilValue);
}

static int recipe(void *data, SEXP x, SEXP *state, SEXP *function)
{
    *state = ScalarReal(*(double *) data);
    return 0;
}

SEXP endless(SEXP x);

static int restore(SEXP state, SEXP *value)
{
    if (TYPEOF(state) != REALSXP || XLENGTH(state) != 1) return cowshed_fail("not a power");
    *value = endless(state);
    return 0;
}

static cowshed_virtual endless_kind = {
    .name = "cdoor.endless", .flags = COWSHED_NO_NA, .read = read, .release = free, .recipe = recipe, .restore = restore
};

/* All the powers that an R vector has room for. Other processes make them anew. */
SEXP endless(SEXP x)
{
    double *data = malloc(sizeof *data);
    if (!data) error("out of memory");
    *data = asReal(x);
    return cowshed_virtual_vector(&endless_kind, data, REALSXP, (uint64_t) 1 << 52, R_NilValue);
}

void register_powers(void) { cowshed_register_virtual(&endless_kind); }
