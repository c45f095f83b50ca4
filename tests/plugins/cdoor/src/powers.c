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
