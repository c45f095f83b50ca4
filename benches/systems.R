# cowshed and the other packages that share objects, as far as they are installed, behind three functions:
#
# - `share(x)`: in the process that has the object
# - `send(shared)`: the bytes that a worker is sent
# - `receive(bytes)`: in the worker; an R object to work with

# `ordinary`: the objects are R vectors, on which R's own functions work. `strings`: character vectors and lists arrive. `many`: so do lists of
# ten thousand parts (a package that makes a file of each runs out of them).
as_serialized <- function(share, many = TRUE) {
  list(share = share, send = function(shared) serialize(shared, NULL), receive = unserialize, ordinary = TRUE, strings = TRUE, many = many)
}

systems <- function(which = names(all_systems)) {
  installed <- vapply(which, requireNamespace, TRUE, quietly = TRUE)
  lapply(all_systems[which][installed], function(make) make())
}

able_systems <- function(to) Filter(function(system) isTRUE(system[[to]]), systems())

all_systems <- list(
  cowshed = function() as_serialized(function(x) cowshed::share(x)),
  mori = function() as_serialized(function(x) mori::share(x)),
  SharedObject = function() as_serialized(function(x) SharedObject::share(x), many = FALSE),
  memshare = function() {
    registered <- NULL
    list(
      # Strings are lost. What was registered stays until it is released, here by a later call: small ones travel by the hundred.
      share = function(x) {
        name <- basename(tempfile("v"))
        registered <<- c(registered, name)
        if (length(registered) > (if (length(x) < 1e6) 128L else 8L)) {
          memshare::releaseVariables(registered[[1]], "v")
          registered <<- registered[-1]
        }
        memshare::registerVariables(name, list(v = x))
        structure(list(name = name), class = "memshare_name")
      },
      send = function(shared) serialize(shared$name, NULL),
      receive = function(bytes) memshare::retrieveViews(unserialize(bytes), "v")$v,
      ordinary = TRUE
    )
  },
  bigmemory = function() {
    list(
      share = function(x) bigmemory::as.big.matrix(as.matrix(x)),
      send = function(shared) serialize(bigmemory::describe(shared), NULL),
      receive = function(bytes) bigmemory::attach.big.matrix(unserialize(bytes)),
      ordinary = FALSE
    )
  }
)
