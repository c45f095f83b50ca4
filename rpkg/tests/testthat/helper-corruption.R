# Segments whose bytes are not what a writer leaves, by docs/format.md.

u64 <- function(b, at) sum(as.integer(b[at + 1:8]) * 256^(0:7))
u32 <- function(b, at) sum(as.integer(b[at + 1:4]) * 256^(0:3))
read_file <- function(path) readBin(path, "raw", file.size(path))

# CRC-32 as the four bytes that a segment has.
crc <- function(bytes) {
  hex <- formatC(digest::digest(bytes, "crc32", serialize = FALSE), width = 8, flag = "0")
  rev(as.raw(strtoi(substring(gsub(" ", "0", hex), c(1, 3, 5, 7), c(2, 4, 6, 8)), 16L)))
}

# The bytes of a segment whose checksums fit again: of each block of nodes and children, of the index, of the header.
resealed <- function(bytes) {
  table <- u64(bytes, 40)
  nodes <- table + 48 * u32(bytes, 48)
  children <- nodes + 4 * u32(bytes, 52)
  names <- children + u32(bytes, 56)
  # Whoever changes a count may not find room for all of it.
  if (table < 1216 || names > length(bytes)) return(resealed_header(bytes))
  blocks <- c(blocks_of(table, nodes), blocks_of(nodes, children))
  checksums <- unlist(lapply(blocks, function(block) crc(bytes[block])))
  if (names + length(checksums) == length(bytes)) bytes[names + seq_along(checksums)] <- checksums
  bytes[80 + 1:4] <- crc(bytes[seq_len(length(bytes) - children) + children])
  resealed_header(bytes)
}
resealed_header <- function(bytes) {
  bytes[124 + 1:4] <- crc(bytes[1:124])
  bytes
}
blocks_of <- function(from, to) {
  starts <- if (to > from) seq(from, to - 1, 3072)
  lapply(starts, function(start) (start + 1):min(start + 3072, to))
}
