# An R6 class with a proxy. R6 objects are environments whose class has methods as any S3 class.

# A list of amounts, with methods.
account <- function(owner, amounts) Account()$new(owner, amounts)

# Made when it is first needed, so that the package works without R6.
Account <- function() {
  if (is.null(made$Account)) {
    made$Account <- R6::R6Class("account", public = list(
      owner = NULL,
      amounts = NULL,
      initialize = function(owner, amounts) {
        self$owner <- owner
        self$amounts <- amounts
      },
      balance = function() sum(self$amounts)
    ))
  }
  made$Account
}

made <- new.env(parent = emptyenv())

share_proxy.account <- function(x, ...) list(owner = x$owner, amounts = x$amounts)
share_restore.account <- function(proxy, ...) account(proxy$owner, proxy$amounts)
