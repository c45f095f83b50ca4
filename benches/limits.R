# What the machine itself takes, from benches/limits: a library in Rust that run.R builds and loads.

target_folder <- function() Sys.getenv("COWSHED_TARGET_DIR", "target")

limits_library <- function() file.path(target_folder(), "bench", "limits", "release", "libcowshed_limits.so")

load_limits <- function(library) dyn.load(library)

limits <- list(
  # The bytes of `x` written into a new file in the store.
  write = function(x, store) invisible(.Call("limit_write", x, store)),
  # The same, and until they are on the disk.
  write_synced = function(x, store) invisible(.Call("limit_write_synced", x, store)),
  # The sum of `n` doubles of a file, opened and mapped so many times.
  map_sum = function(file, offset, n, maps = 1) .Call("limit_map_sum", file, as.double(offset), as.double(n), as.double(maps)),
  # The same as write(), the file being named and removed, too.
  small = function(x, store) invisible(.Call("limit_small", x, store)),
  # The bytes of `x` written through a mapping.
  map_write = function(x, store) invisible(.Call("limit_map_write", x, store)),
  # The bytes of `x` copied into fresh memory.
  copy = function(x) invisible(.Call("limit_copy", x)),
  file = function(x, store) .Call("limit_file", x, store),
  # A file of `file()` mapped, and a byte of each page read. `how`: 0, with page faults; 1 and 2, all pages mapped at once, by MAP_POPULATE or
  # MADV_POPULATE_READ; 3, after asking for huge pages.
  touch = function(file, bytes, how = 0L) invisible(.Call("limit_touch", file, as.double(bytes), how)),
  # The file at `path` opened, mapped three times, a byte of each mapping read, and unmapped.
  map_thrice = function(path) invisible(.Call("limit_map_thrice", path)),
  # The sum of `first + step * (0:(n - 1))`, made in a small buffer.
  generate = function(n, first, step) .Call("limit_generate", as.double(n), as.double(first), as.double(step)),
  # Through the pointer of a double vector: the sum, or `n` elements at random places, read, and written to if `write`.
  pointer_sum = function(x) .Call("limit_pointer_sum", x),
  pointer_random = function(x, n, write = FALSE) .Call("limit_pointer_random", x, as.double(n), write)
)
