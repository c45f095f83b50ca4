/* A second file that includes the header; this one makes vectors by its own copy of what is in it. */

#include "full.h"

// [[Rcpp::export]]
SEXP make_full(double first, double step, double n, int type, SEXP operations, SEXP taken)
{
    Sequence *sequence = new Sequence(first, step);
    for (R_xlen_t i = 0; i + 1 < Rf_xlength(taken); i += 2) sequence->taken[(size_t) REAL(taken)[i]] = REAL(taken)[i + 1];
    return make_full_of(sequence, type, n, operations);
}

namespace {

size_t squares(const Travel_altrep_info *, void *buffer, size_t offset, size_t length)
{
    for (size_t i = 0; i < length; i++) static_cast<double *>(buffer)[i] = (double) (offset + i) * (double) (offset + i);
    return length;
}

} // namespace

/* With nothing but a function, and an array that goes with it. */
// [[Rcpp::export]]
SEXP make_squares(double n)
{
    Travel_altrep_info info;
    info.type = REALSXP;
    info.length = (uint64_t) n;
    info.operations.get_region = squares;
    info.protected_data = Travel_shared_ptr<int[]>(new int[10]);
    return Travel_make_altrep(info);
}

/* No function at all. */
// [[Rcpp::export]]
SEXP make_nothing()
{
    Travel_altrep_info info = Travel_altrep_info();
    info.type = REALSXP;
    info.length = 1;
    return Travel_make_altrep(info);
}

/* The sum of the first elements, by the pointer. */
// [[Rcpp::export]]
double pointer_sum(SEXP x, double n)
{
    const double *data = REAL(x);
    double sum = 0;
    for (R_xlen_t i = 0; i < (R_xlen_t) n; i++) sum += data[i];
    return sum;
}

/* Writes an element by the pointer, of whoever else has the vector too. */
// [[Rcpp::export]]
void pointer_write(SEXP x, double i, double value)
{
    REAL(x)[(R_xlen_t) i - 1] = value;
}

/* Elements by R's own function, one by one, into the memory of another vector. */
// [[Rcpp::export]]
void region_into(SEXP x, SEXP y)
{
    REAL_GET_REGION(x, 0, Rf_xlength(x), REAL(y));
}
