# The Matrix package's classes: S4 objects whose slots are shared. Their arithmetic is C code that reads the slots' pointers.

skip_if_not_installed("Matrix")

matrices <- function() {
  set.seed(1)
  i <- sample(60, 300, TRUE)
  j <- sample(40, 300, TRUE)
  x <- round(rnorm(300), 2)
  sparse <- function(repr) Matrix::sparseMatrix(i, j, x = x, dims = c(60, 40), repr = repr)
  square <- Matrix::crossprod(sparse("C"))
  list(
    dgC = sparse("C"), dgT = sparse("T"), dgR = sparse("R"), dsC = square, dtC = Matrix::tril(square), lgC = sparse("C") > 0, ngC = Matrix::sparseMatrix(i, j, dims = c(60, 40)),
    ddi = Matrix::Diagonal(40, 1:40 + 0), dge = Matrix::Matrix(rnorm(200), 20, sparse = FALSE), dpo = methods::as(Matrix::crossprod(matrix(rnorm(400), 40)) + diag(10), "dpoMatrix"),
    named = `dimnames<-`(sparse("C"), list(paste0("r", 1:60), paste0("c", 1:40)))
  )
}

test_that("shared and attached, they give what plain ones give", {
  uses <- list(
    plus = function(m) m + m, times = function(m) m * 2, product = function(m) m %*% rep(1, ncol(m)), transposed = function(m) Matrix::t(m), cross = function(m) Matrix::crossprod(m),
    sums = function(m) Matrix::colSums(m), means = function(m) Matrix::rowMeans(m), some = function(m) m[3:9, c(1, 5)], one = function(m) m[2, 3], compared = function(m) m > 0, bound = function(m) rbind(m, m),
    assigned = function(m) { m[1, 1] <- methods::as(1, typeof(m[1, 1])); m }, dense = function(m) as.matrix(m), dims = dim, coerced = function(m) methods::as(m, "CsparseMatrix"), shown = function(m) capture.output(print(m)),
    diagonal = function(m) Matrix::diag(m), nonzero = Matrix::nnzero, mathed = function(m) exp(m), entries = function(m) Matrix::summary(m)
  )
  with_new_store({
    for (name in names(matrices())) {
      plain <- matrices()[[name]]
      shared <- share(plain)
      attached <- unserialize(serialize(shared, NULL))
      expect_identical(attached, plain, info = name)
      expect_true(methods::validObject(attached, complete = TRUE), info = name)
      for (use in names(uses)) {
        # R's own matrices of logicals and the like do not know every verb: what fails fails alike.
        run <- function(m) tryCatch(suppressMessages(uses[[use]](m)), error = function(e) "error")
        expect_identical(run(attached), run(plain), info = paste(name, use))
      }
      expect_identical(shared, plain, info = name)
      expect_identical(attached, plain, info = name)
    }
  })
})

test_that("what is large of one is in shared memory once, and what a worker assigns is its own", {
  with_new_store({
    m <- Matrix::rsparsematrix(2000, 1000, 0.01)
    s <- share(m)
    expect_true(is.shared(s@x))
    expect_true(is.shared(s@i))
    expect_length(segments(), 1L)
    got <- run_r({
      m <- take("m")
      library(Matrix)
      shared <- c(cowshed::is.shared(m@x), cowshed::is.shared(m@i), cowshed::is.shared(m@p))
      y <- as.vector(m %*% seq_len(ncol(m)))
      before <- m@x
      m@x[1] <- 1e6
      answer(list(shared = shared, y = y, own = m@x[1], solved = sum(solve(crossprod(m) + Diagonal(1000), rep(1, 1000)))))
    }, dir = put_in(scratch(), s, "m"))
    expect_ended_well(got)
    expect_identical(got$answer$shared, c(TRUE, TRUE, TRUE))
    expect_equal(got$answer$y, as.vector(m %*% seq_len(1000)))
    expect_identical(got$answer$own, 1e6)
    expect_identical(s, m)
  })
})

test_that("a factorization that a matrix keeps travels with it", {
  with_new_store({
    m <- Matrix::crossprod(Matrix::rsparsematrix(200, 50, 0.2)) + Matrix::Diagonal(50)
    m <- methods::as(m, "symmetricMatrix")
    invisible(Matrix::Cholesky(m))
    back <- unserialize(serialize(share(m), NULL))
    b <- as.numeric(1:50)
    expect_equal(as.vector(Matrix::solve(back, b)), as.vector(Matrix::solve(m, b)))
    expect_identical(names(back@factors), names(m@factors))
  })
})
