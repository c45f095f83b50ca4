# The bytes of references, by the layout in docs/format.md.

# Where they are in what serialize() gives for one vector: a raw vector at the end of the stream before the attributes' NILVALUE.
state_range <- function(stream) {
  # RAWSXP (24), then its length, big-endian.
  at <- which(stream == as.raw(24))
  lengths <- vapply(at, function(i) if (i + 4L <= length(stream)) sum(as.integer(stream[i + 1:4]) * 256^(3:0)) else 0, 0)
  ok <- lengths >= 56 & lengths < 400 & at + 4 + lengths <= length(stream)
  i <- which(ok)[1]
  at[i] + 4L + seq_len(lengths[i])
}

# A field of theirs: its first byte, counted from 0 as on the page, and its size.
field_range <- function(stream, at, size) state_range(stream)[at + seq_len(size)]

# What this process writes for the machine.
machine_tag <- function() {
  old <- options(cowshed.grace = 0)
  on.exit(options(old))
  stream <- serialize(share(as.numeric(1:5000)), NULL)
  stream[field_range(stream, 48, 8)]
}

# The same stream, all its references made on a machine with this tag.
made_on <- function(stream, tag = xor(machine_tag(), as.raw(255))) {
  at <- grepRaw(machine_tag(), stream, fixed = TRUE, all = TRUE)
  if (!length(at)) stop("no reference in the stream")
  for (i in at) stream[i + 0:7] <- tag
  stream
}
