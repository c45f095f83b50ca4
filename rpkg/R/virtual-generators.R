virtualSequence <- function(from = 1, by = 1, length, type = if (is.integer(from) && is.integer(by)) "integer" else "double") {
  .Call(cs_virtual_sequence, from, by, length, check_choice("type", type, c("double", "integer")) == "integer")
}

# One of these strings, or an error that names the argument.
check_choice <- function(name, value, choices) {
  if (is.character(value) && length(value) == 1L && value %in% choices) return(value)
  refuse(sprintf("`%s` must be one of %s", name, paste0("\"", choices, "\"", collapse = ", ")))
}
