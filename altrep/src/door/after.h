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

/* inline */
#endif
