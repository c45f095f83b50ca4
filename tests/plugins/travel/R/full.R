# What a full vector is saved as, and made of again: serialize() and unserialize() of its operations.

full_state <- function(pointer) full_numbers(pointer)

full_again <- function(state) {
  full_vector(state[1], state[2], state[4], state[3], every_operation, state[-(1:4)])
}

every_operation <- c(
  "get_region", "read_blocks", "set_region", "get_private_size", "extract_subset", "duplicate", "coerce", "serialize", "unserialize", "inspect_private"
)

# first, first + step, ...; `type` is a number or a word.
full_vector <- function(first, step, n, type = "double", operations = "get_region", taken = double()) {
  types <- c(logical = 10L, integer = 13L, double = 14L, complex = 15L, raw = 24L)
  if (is.character(type)) type <- types[[type]]
  make_full(first, step, n, type, operations, taken)
}
