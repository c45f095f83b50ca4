/* A package whose strategies are registered one by one, and each goes wrong in its own way. Copied into a package by test-door-c.R. */

#include <R.h>
#include <Rinternals.h>
#include <stdlib.h>
#include <string.h>
#include <cowshed.h>

static cowshed_encoder *stale;

static int is(void *fault, const char *what) { return strcmp((const char *) fault, what) == 0; }

static uint32_t claim(void *fault, SEXP x)
{
    (void) x;
    if (is(fault, "claim error")) error("asked for too much");
    if (is(fault, "no claim")) return COWSHED_CLAIM_NO;
    if (is(fault, "claim 500")) return COWSHED_CLASS(500);
    return COWSHED_CLAIM_BY_CLASS;
}

static int encode(void *fault, cowshed_encoder *out, SEXP x, uint32_t *node)
{
    static char bytes[1 << 20];
    cowshed_node described = cowshed_new_node();
    described.payload = cowshed_write_bytes(out, bytes, sizeof bytes);
    described.length = sizeof bytes;
    if (is(fault, "status")) return 3;
    if (is(fault, "message")) return cowshed_fail("it does not want to");
    if (is(fault, "error")) error("wrote %d bytes too much", 7);
    if (is(fault, "R error")) R_ParseEvalString("stop('in R')", R_BaseEnv);
    if (is(fault, "protects")) {
        PROTECT(x);
        PROTECT(x);
    }
    if (is(fault, "no node")) return 0;
    if (is(fault, "wrong node")) {
        *node = 77;
        return 0;
    }
    if (is(fault, "payload")) described.payload.offset += 64;
    if (is(fault, "child")) {
        uint32_t child = 99;
        *node = cowshed_add_node(out, &described, &child, 1);
        return 0;
    }
    if (is(fault, "stale")) {
        /* The encoder of a callback that has returned. */
        if (stale) cowshed_write_bytes(stale, bytes, 1);
        stale = out;
    }
    if (is(fault, "inner")) {
        /* What fails within is not ours. */
        uint32_t child = cowshed_encode(out, VECTOR_ELT(x, 0));
        *node = cowshed_add_node(out, &described, &child, 1);
        return 0;
    }
    described.attributes = cowshed_write_attributes(out, x);
    *node = cowshed_add_node(out, &described, NULL, 0);
    return 0;
}

static int open(void *fault, cowshed_opener *from, uint32_t id, SEXP *value)
{
    cowshed_node node = cowshed_node_of(from, id);
    if (is(fault, "no value")) return 0;
    if (is(fault, "open error")) error("opened too much");
    if (is(fault, "corrupt")) cowshed_corrupt(from, id, "it is not to my liking");
    if (is(fault, "no child")) cowshed_child(from, id, 0);
    if (is(fault, "beyond")) cowshed_vector(from, id, REALSXP, 8, node.length / 8);
    if (is(fault, "overflow")) cowshed_vector(from, id, REALSXP, 8, UINT64_MAX / 8);
    if (is(fault, "askew")) cowshed_vector(from, id, REALSXP, 4, 1);
    if (is(fault, "list")) cowshed_vector(from, id, VECSXP, 0, 1);
    if (is(fault, "foreign node")) cowshed_node_of(from, 1000);
    /* A list with a raw view of all bytes. */
    SEXP x = PROTECT(allocVector(VECSXP, 1));
    SET_VECTOR_ELT(x, 0, cowshed_vector(from, id, RAWSXP, 0, node.length));
    cowshed_restore_attributes(from, id, x);
    UNPROTECT(1);
    *value = x;
    return 0;
}

/* faults_register(name, package, class, fault, abi, kinds, missing) */
static SEXP faults_register(SEXP name, SEXP package, SEXP class_name, SEXP fault, SEXP abi, SEXP kinds, SEXP incomplete)
{
    cowshed_strategy strategy;
    memset(&strategy, 0, sizeof strategy);
    strategy.name = CHAR(STRING_ELT(name, 0));
    strategy.package = CHAR(STRING_ELT(package, 0));
    if (!isNull(class_name)) strategy.class_name = CHAR(STRING_ELT(class_name, 0));
    strategy.state = strdup(CHAR(STRING_ELT(fault, 0)));
    strategy.kinds = (uint32_t) asInteger(kinds);
    if (!isNull(fault) && strstr((char *) strategy.state, "claim")) strategy.claim = claim;
    if (!asLogical(incomplete)) strategy.encode = encode;
    strategy.open = open;
    if (asInteger(abi) == (int) COWSHED_ABI) {
        cowshed_register(&strategy);
    } else {
        strategy.size = sizeof strategy;
        strategy.abi = (uint32_t) asInteger(abi);
        cowshed_table()->register_strategy(&strategy);
    }
    return R_NilValue;
}

static SEXP faults_unregister(SEXP package) { return ScalarInteger(cowshed_unregister(CHAR(STRING_ELT(package, 0)))); }

static const R_CallMethodDef calls[] = {
    {"faults_register", (DL_FUNC) (void (*)(void)) faults_register, 7}, {"faults_unregister", (DL_FUNC) (void (*)(void)) faults_unregister, 1}, {NULL, NULL, 0}
};

void R_init_faults(DllInfo *dll)
{
    R_registerRoutines(dll, NULL, calls, NULL, NULL);
    R_useDynamicSymbols(dll, FALSE);
}
