wrap_altrep <- function(x) .Call(cs_wrap_altrep, x)
virtualVector <- function(length, type = "double", get_region) .Call(cs_virtual_vector, length, type, get_region)
