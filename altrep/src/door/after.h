#ifdef __cplusplus
}
#endif

/* A claim by class, the larger the number the more specific. */
#define COWSHED_CLASS(n) (COWSHED_CLAIM_CLASS + (uint32_t) (n))

/* cowshed's table, looked up once. */
static inline const cowshed_host *cowshed_table(void)
{
    static const cowshed_host *table = NULL;
    if (!table) {
        typedef const cowshed_host *(*getter)(void);
        R_ParseEvalString("base::loadNamespace('cowshed')", R_BaseEnv);
        table = ((getter) (void (*)(void)) R_GetCCallable("cowshed", "cowshed_host"))();
    }
    return table;
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
