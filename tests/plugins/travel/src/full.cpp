/* Every operation of Travel_altrep_operations, without Rcpp. */

#include "full.h"
#include <R_ext/Print.h>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <vector>

namespace {

std::mutex lock;
std::vector<std::string> calls;
std::string fault;
int living = 0;
/* How many functions that make or take elements are running. */
int running = 0;

struct Running {
    Running() { lock.lock(); if (running++) calls.push_back("two at once"); lock.unlock(); }
    ~Running() { lock.lock(); running--; lock.unlock(); }
};

bool is_faulty(const char *what)
{
    std::lock_guard<std::mutex> guard(lock);
    return fault == what;
}

void note(const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    std::lock_guard<std::mutex> guard(lock);
    calls.push_back(text);
}

Sequence *sequence_of(const Travel_altrep_info *info)
{
    return static_cast<Sequence *>(info->private_data);
}

void put(const Travel_altrep_info *info, void *buffer, size_t at, size_t i)
{
    Sequence *s = sequence_of(info);
    std::map<size_t, double>::const_iterator taken = s->taken.find(i);
    double value = taken == s->taken.end() ? s->first + s->step * (double) i : taken->second;
    switch (info->type) {
    case INTSXP: static_cast<int *>(buffer)[at] = ISNAN(value) ? NA_INTEGER : (int) value; break;
    case LGLSXP: static_cast<int *>(buffer)[at] = ISNAN(value) ? NA_LOGICAL : value != 0; break;
    case REALSXP: static_cast<double *>(buffer)[at] = value; break;
    case RAWSXP: static_cast<Rbyte *>(buffer)[at] = (Rbyte) value; break;
    default: static_cast<Rcomplex *>(buffer)[at].r = value; static_cast<Rcomplex *>(buffer)[at].i = 0; break;
    }
}

size_t get_region(const Travel_altrep_info *info, void *buffer, size_t offset, size_t length)
{
    Running now;
    note("get_region %.0f %.0f", (double) offset, (double) length);
    if (is_faulty("short")) return length / 2;
    if (is_faulty("throw")) throw std::runtime_error("no luck");
    if (is_faulty("throw 5")) throw 5;
    for (size_t k = 0; k < length; k++) put(info, buffer, k, offset + k);
    return length;
}

size_t read_blocks(const Travel_altrep_info *info, void *buffer, size_t offset, size_t length, size_t stride)
{
    Running now;
    note("read_blocks %.0f %.0f %.0f", (double) offset, (double) length, (double) stride);
    if (is_faulty("short")) return 0;
    for (size_t k = 0; k < length; k++) put(info, buffer, k, offset + k * stride);
    return length;
}

bool set_region(const Travel_altrep_info *info, const void *buffer, size_t offset, size_t length)
{
    Running now;
    note("set_region %.0f %.0f", (double) offset, (double) length);
    if (is_faulty("refuse")) return false;
    Sequence *s = sequence_of(info);
    for (size_t k = 0; k < length; k++) {
        int i = static_cast<const int *>(buffer)[k];
        double value = info->type == REALSXP ? static_cast<const double *>(buffer)[k] : i == NA_INTEGER ? NA_REAL : i;
        if (value != s->first + s->step * (double) (offset + k)) s->taken[offset + k] = value;
        else s->taken.erase(offset + k);
    }
    return true;
}

size_t get_private_size(const Travel_altrep_info *)
{
    note("get_private_size");
    return sizeof(Sequence);
}

/* The same vector with other private data. */
Travel_altrep_info with(const Travel_altrep_info *info, Sequence *sequence)
{
    Travel_altrep_info made = *info;
    made.private_data = sequence;
    made.protected_data = Travel_shared_ptr<Sequence>(sequence);
    return made;
}

Travel_altrep_info extract_subset(const Travel_altrep_info *info, SEXP idx)
{
    R_xlen_t n = Rf_xlength(idx);
    note("extract_subset %.0f", (double) n);
    if (is_faulty("error")) Rf_error("an error of R's");
    Travel_altrep_info none = *info;
    INVALID_ALTREP_INFO(none);
    bool ints = TYPEOF(idx) == INTSXP;
    double first = ints ? INTEGER_ELT(idx, 0) : REAL_ELT(idx, 0), last = ints ? INTEGER_ELT(idx, n - 1) : REAL_ELT(idx, n - 1);
    double step = n > 1 ? (last - first) / (double) (n - 1) : 1;
    for (R_xlen_t k = 0; k < n; k++)
        if ((ints ? INTEGER_ELT(idx, k) : REAL_ELT(idx, k)) != first + step * (double) k) return none;
    Sequence *s = sequence_of(info);
    if (!s->taken.empty()) return none;
    Travel_altrep_info made = with(info, new Sequence(s->first + s->step * (first - 1), s->step * step));
    made.length = is_faulty("length") ? 1 : (uint64_t) n;
    return made;
}

Travel_altrep_info duplicate(const Travel_altrep_info *info)
{
    note("duplicate");
    if (is_faulty("throw")) throw std::runtime_error("no luck");
    Travel_altrep_info made = with(info, new Sequence(*sequence_of(info)));
    if (is_faulty("none")) INVALID_ALTREP_INFO(made);
    return made;
}

Travel_altrep_info coerce(const Travel_altrep_info *info, int type)
{
    note("coerce %s", Rf_type2char((SEXPTYPE) type));
    Travel_altrep_info made = *info;
    if (is_faulty("none")) INVALID_ALTREP_INFO(made);
    else if (!is_faulty("own type")) made.type = type;
    return made;
}

void inspect_private(const Travel_altrep_info *info)
{
    note("inspect_private");
    Rprintf("  from %g by %g\n", sequence_of(info)->first, sequence_of(info)->step);
}

SEXP function_of(const char *name)
{
    SEXP ns = Rf_protect(R_ParseEvalString("base::asNamespace('travel')", R_BaseEnv));
    SEXP function = Rf_eval(Rf_install(name), ns);
    Rf_unprotect(1);
    return function;
}

} // namespace

Sequence::Sequence(double first, double step) : first(first), step(step) { living++; }
Sequence::Sequence(const Sequence &other) : first(other.first), step(other.step), taken(other.taken) { living++; }
Sequence::~Sequence() { living--; }

SEXP make_full_of(Sequence *sequence, int type, double n, SEXP operations)
{
    Travel_altrep_info info = {};
    info.type = type;
    info.length = (uint64_t) n;
    info.private_data = sequence;
    info.protected_data = Rf_protect(Travel_shared_ptr<Sequence>(sequence));
    Travel_altrep_operations &can = info.operations;
    for (R_xlen_t i = 0; i < Rf_xlength(operations); i++) {
        std::string name = R_CHAR(STRING_ELT(operations, i));
        if (name == "get_region") can.get_region = get_region;
        if (name == "read_blocks") can.read_blocks = read_blocks;
        if (name == "set_region") can.set_region = set_region;
        if (name == "get_private_size") can.get_private_size = get_private_size;
        if (name == "extract_subset") can.extract_subset = extract_subset;
        if (name == "duplicate") can.duplicate = duplicate;
        if (name == "coerce") can.coerce = coerce;
        if (name == "serialize") can.serialize = function_of("full_state");
        if (name == "unserialize") can.unserialize = function_of("full_again");
        if (name == "inspect_private") can.inspect_private = inspect_private;
    }
    SEXP x = Travel_make_altrep(info);
    Rf_unprotect(1);
    return x;
}

/* First element, step, type, length, then place and value of each element that was taken. */
// [[Rcpp::export]]
SEXP full_numbers(SEXP pointer)
{
    const Travel_altrep_info *info = static_cast<const Travel_altrep_info *>(R_ExternalPtrAddr(pointer));
    Sequence *s = sequence_of(info);
    SEXP state = Rf_allocVector(REALSXP, 4 + 2 * (R_xlen_t) s->taken.size());
    double *numbers = REAL(state);
    *numbers++ = s->first;
    *numbers++ = s->step;
    *numbers++ = (double) info->type;
    *numbers++ = (double) info->length;
    for (const auto &taken : s->taken) {
        *numbers++ = (double) taken.first;
        *numbers++ = taken.second;
    }
    return state;
}

/* The calls since it was last asked. */
// [[Rcpp::export]]
SEXP full_calls()
{
    std::lock_guard<std::mutex> guard(lock);
    SEXP all = Rf_protect(Rf_allocVector(STRSXP, (R_xlen_t) calls.size()));
    for (size_t i = 0; i < calls.size(); i++) SET_STRING_ELT(all, (R_xlen_t) i, Rf_mkChar(calls[i].c_str()));
    calls.clear();
    Rf_unprotect(1);
    return all;
}

// [[Rcpp::export]]
void full_fault(SEXP what)
{
    std::lock_guard<std::mutex> guard(lock);
    fault = R_CHAR(STRING_ELT(what, 0));
}

/* Sequences that were made and not deleted. */
// [[Rcpp::export]]
int full_living() { return living; }
