/* A sequence whose vectors define every operation, and note the calls of each. */
#ifndef FULL_H
#define FULL_H

#include "Travel/Travel.h"

struct Sequence {
    double first;
    double step;
    /* What set_region() took. */
    std::map<size_t, double> taken;

    Sequence(double first, double step);
    Sequence(const Sequence &other);
    ~Sequence();
};

/* Makes the vector; protects nothing. */
SEXP make_full_of(Sequence *sequence, int type, double n, SEXP operations);

#endif
