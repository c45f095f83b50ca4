# Interrupts at the right time.
#
# - Master: of a message that was begun all is read or written, or its connection is of no use any more.
# - Worker: only what FUN does is interrupted. Elsewhere parallel's worker would go on to the next call and answer this one never.

# SIGINT waits while `code` runs. One that R has noticed before comes before it begins; none can come between the first two lines.
undisturbed <- function(code) {
  before <- .Call(cs_put_off_interrupts)
  on.exit(.Call(cs_let_interrupts, before, FALSE))
  code
}

# In a worker, until allow_interrupts(). One that R has noticed, and not yet acted on, ends here.
hold_interrupts <- function() {
  while (is.null(tryCatch(.Call(cs_put_off_interrupts), interrupt = function(e) NULL))) NULL
}

# What waited was meant for what is done by now.
allow_interrupts <- function() .Call(cs_let_interrupts, FALSE, TRUE)
