# Calls with the right arguments, by hand. `x` is the subject, named in the first argument; the rest is plain: see partners().

call_list <- function() {
  listed <- list()
  heading <- NULL
  about <- function(text) heading <<- text
  on <- function(subject, ...) {
    for (call in as.list(substitute(list(...)))[-1L]) {
      listed[[length(listed) + 1L]] <<- list(heading = heading, subject = subject, call = call)
    }
  }

  about("Assignments: meant to be seen by everybody")
  on("double", x[1] <- 0, x[[1]] <- 0, x[x > 0.5] <- 0, x[] <- 0, x[-1] <- 0, x[i] <- y[i], is.na(x) <- 1,
     split(x, g) <- list(0, 1, 2), {z <- x; z[1] <- 0}, x[5:1] <- x[1:5], x[5:1] <- x)
  on("named vector", x[["n3"]] <- 0, x[match("n3", names(x))] <- 0, {z <- unname(x); z[1] <- 0})
  on("double", {names(x) <- seq_along(x); x[1] <- 0}, {dim(x) <- c(8, 9); x[1, 1] <- 0}, {attr(x, "unit") <- "m"; x[1] <- 0},
     {class(x) <- "metres"; x[1] <- 0}, {storage.mode(x) <- "double"; x[1] <- 0})
  on("matrix", x[1, 1] <- 0, x[1, ] <- 0, x[, 1] <- 0, x[cbind(1, 1)] <- 0, diag(x) <- 0, x[x > 1] <- 0, x[upper.tri(x)] <- 0,
     {dimnames(x) <- list(letters[1:8], NULL); x["a", 1] <- 0}, {rownames(x) <- letters[1:8]; x[1] <- 0})
  on("array", x[1, 1, 1] <- 0)
  on("factor", x[1] <- "b", levels(x)[1] <- "z")
  on("Date", x[1] <- as.Date("2020-01-01"))
  on("time series", x[1] <- 0, window(x, 2001, 2002) <- 0)
  on("list", x$a[1] <- 0, x[["a"]][[1]] <- 0, x[[1]][2:3] <- 0, x[[c(1, 1)]] <- 0, x$a <- 0, x["a"] <- list(0))
  on("data frame", x$a[1] <- 0, x[1, 1] <- 0, x[["a"]][1] <- 0, x[x$a > 0.5, "a"] <- 0, x["a"][1, ] <- 0, x$a <- 0, x[1, ] <- x[2, ],
     x$new <- 0, is.na(x$a) <- 1)

  about("Assignments that make a new object")
  on("integer", x[1] <- 0.5, x[1] <- "a")
  on("double", x[1] <- 1i, x[100] <- 0, length(x) <- 3, storage.mode(x) <- "integer", mode(x) <- "character", x <- x + 1)
  # R itself makes a new vector for a name in [ ]; with [[ ]] it writes in place.
  on("named vector", x["n3"] <- 0)

  about("Assignments inside functions and blocks")
  on("double", (function(v) v[1] <- 0)(x), (function(v) {v <- v + 0; v[1] <- 0})(x), local({z <- x; z[1] <- 0}),
     lapply(list(x), function(v) {v[1] <- 0; v}), sapply(1:3, function(k) {x[k] <- 0; k}),
     rapply(list(x), function(v) {v[1] <- 0; v}, how = "replace"), mapply(function(v, k) {v[1] <- k; v}, list(x), 0),
     Map(function(v) {v[1] <- 0; v}, list(x)), Reduce(function(a, k) {a[k] <- 0; a}, 1:3, x), vapply(x, function(v) {v[1] <- 0; v}, 0),
     do.call("[<-", list(x, 1, 0)), `[<-`(x, 1, 0), with(list(v = x), v[1] <- 0), replicate(2, {x[1] <- 0; 1}))
  on("matrix", apply(x, 1, function(v) {v[1] <- 0; v}), sweep(x, 2, 1:8), outer(x, 1:2))
  on("data frame", within(x, a[1] <- 0), within(x, a <- a * 2), transform(x, a = a * 2), with(x, a[1] <- 0),
     lapply(x, function(v) {v[1] <- NA; v}), by(x, x$g, function(d) {d$a[1] <- 0; d}), subset(x, a > 0.5), x[order(x$a), ],
     merge(x, x[1:3, ]), rbind(x, x), aggregate(a ~ g, x, mean), stack(x[c("a", "y")]), reshape(x, direction = "long",
     varying = c("a", "y"), v.names = "v"), modifyList(x, list(b = 1)), na.omit(x), expand.grid(x$a[1:3], 1:2), head(x), droplevels(x))

  about("Arithmetic on what was a class or names")
  on("logical", !x, x & TRUE, xor(x, TRUE), isTRUE(x), -x, any(!x), which(!x))
  on("raw", !x, xor(x, as.raw(1)), rev(x))
  on("Date", x + 2, x + 2L, x - 2L, -unclass(x), unclass(x) + 1, as.numeric(x) + 1, diff(x), format(x), julian(x), seq(x[1], by = 1, length.out = 3),
     difftime(x, x[1]), as.POSIXct(x), cut(x, "month"), weekdays(x), range(x), rev(x), sort(x))
  on("named vector", unname(x) + 1, x + 1, sqrt(unname(x)), -unname(x), structure(x, names = NULL) * 2, {z <- unname(x); z * 2})
  on("matrix", as.vector(x) + 1, c(x) + 1, structure(x, dim = NULL) + 1, x + 1)
  on("time series", x + 1, unclass(x) + 1, log(x), x - mean(x))
  on("factor", as.integer(x) + 1L, unclass(x) + 1L, as.vector(x))

  about("Arithmetic, order and summaries")
  on("double", -x, +x, !x, x + 1, x * x, sqrt(x), round(x, 1), exp(x), cumsum(x), cumprod(x), cummax(x), diff(x), rev(x), sort(x),
     sort(x, decreasing = TRUE), sort(x, method = "quick"), sort(x, method = "shell"), sort(x, method = "radix"), sort(x, partial = 10),
     sort.int(x, index.return = TRUE), sort.list(x), order(x), rank(x), ifelse(x > 0.5, x, 0), pmin(x, 0.5), pmax(x, 0.5), replace(x, 1, 9),
     append(x, 1), head(x), tail(x), c(x, 1), unlist(list(x)), unique(x), table(x), cut(x, 3), findInterval(x, c(0.2, 0.5)), tabulate(x),
     scale(x), range(x), quantile(x), median(x), mad(x), var(x), rle(x), sample(x), as.integer(x), as.vector(x), as.numeric(x),
     as.matrix(x), format(x), rowsum(x, g), tapply(x, g, sum), ave(x), ave(x, g), prettyNum(x), jitter(x), zapsmall(x), rapply(list(x), sum),
     structure(x, names = x), setNames(x, x), unsplit(split(x, g), g), identity(x), invisible(x), x %o% x, mapply(sum, x, y),
     utils::type.convert(x, as.is = TRUE), bitwAnd(1:72, x), stats::reorder(g, x))
  on("integer", -x, sort(x), rev(x), order(x), cumsum(x), replace(x, 1, 9L), replace(x, 1, 9), bitwAnd(x, 3L), ave(x, g), rank(x))
  on("complex", Conj(x), -x, sort(x), fft(x), polyroot(x[1:5]))
  on("factor", droplevels(x), factor(x), relevel(x, "b"), addNA(x), rev(x), replace(x, 1, "b"), as.integer(x))
  on("matrix", t(x), x %*% x, crossprod(x), solve(x), solve(x, 1:8), chol(x), chol2inv(x), qr(x), qr(x, LAPACK = TRUE), qr.solve(x, 1:8), svd(x),
     La.svd(x), eigen(x), eigen(x, symmetric = FALSE), det(x), backsolve(x, 1:8), forwardsolve(x, 1:8), diag(x), apply(x, 1, sum),
     sweep(x, 1, 1:8, `/`), scale(x), aperm(x), cbind(x, 1), rbind(x, 1), max.col(x), rowSums(x), kronecker(x, x), upper.tri(x), norm(x),
     rcond(x), kappa(x), expm1(x), outer(x, 1), prop.table(x, 1), proportions(x), addmargins(x), rowsum(x, 1:8))

  about("Statistics")
  on("double", p.adjust(x, "holm"), p.adjust(x, "BH"), p.adjust(x, "hommel"), fft(x), fft(x, inverse = TRUE), convolve(x, y, type = "o"),
     filter(x, rep(1, 3)), filter(x, 0.5, "recursive"), approx(x, y), approxfun(x, y)(0.5), spline(x, y), splinefun(x, y)(0.5),
     lowess(x), lowess(x, y), loess(y ~ x), smooth(x), smooth.spline(x, y), supsmu(x, y), runmed(x, 3), ksmooth(x, y), isoreg(x), smoothEnds(x),
     density(x), ecdf(x)(0.5), t.test(x), wilcox.test(x, y), ks.test(x, y), cor(x, y), cor(x, y, method = "kendall"),
     cor.test(x, y), shapiro.test(x), bw.SJ(x), embed(x, 2), toeplitz(x), diffinv(x), acf(x, plot = FALSE), ar(x),
     spec.pgram(x, plot = FALSE), arima(x, c(1, 0, 0)), arima(x, c(1, 0, 1), method = "ML"), kmeans(x, 2), dist(x), hclust(dist(x)),
     cutree(hclust(dist(x)), 3), prcomp(cbind(x, y)), mahalanobis(cbind(x, y), c(0, 0), diag(2)), weighted.mean(x, y), rowsum(x, g),
     nls(y ~ a + b * x, start = list(a = 0, b = 1)), rnorm(72, x), dnorm(x), qbeta(x, 2, 3), rmultinom(1, 5, x), simulate(lm(y ~ x)),
     optim(x[1:3], function(p) sum((p - 1)^2)), optim(x, function(p) sum((p - 1)^2), method = "BFGS"),
     optim(x, function(p) sum((p - 1)^2), method = "CG"), optim(x, function(p) sum((p - 1)^2), method = "L-BFGS-B"),
     nlm(function(p) sum((p - 1)^2), x), nlminb(x, function(p) sum((p - 1)^2)), optimHess(x, function(p) sum(p^2)),
     constrOptim(x[1:3], function(p) sum(p^2), NULL, diag(3), rep(-1, 3)), numericDeriv(quote(x^2), "x"),
     uniroot(function(v) v - x[1], c(0, 2)), model.matrix(~ x), cov.wt(cbind(x, y)), cor(cbind(x, y)), fisher.test(x > 0.5, g))
  on("double", lm.fit(X, x), lm.wfit(X, y, x), lm.wfit(X, x, y), .lm.fit(X, x), lsfit(X, x), lm(x ~ g), lm(x ~ y), lm(y ~ x, weights = x),
     glm(x ~ y), glm(x > 0.5 ~ y, family = binomial), glm.fit(X, x), glm.fit(X, y, weights = x), aov(x ~ g), nls(x ~ a + b * y,
     start = list(a = 0, b = 1)), loglin(array(x, c(4, 6, 3)), list(1, 2), print = FALSE), medpolish(matrix(x, 8), trace.iter = FALSE),
     qr.coef(qr(X), x), qr.fitted(qr(X), x), qr.resid(qr(X), x), qr.qy(qr(X), x), qr.qty(qr(X), x), ppr(X, x, nterms = 1), line(x, y), TukeyHSD(aov(x ~ g)))
  on("double", binomial()$linkfun(x), binomial()$linkinv(x), binomial()$mu.eta(x), binomial()$variance(x), binomial()$dev.resids(x, y, 1),
     binomial()$dev.resids(y, x, y), binomial("probit")$linkfun(x), binomial("probit")$linkinv(x), binomial("cloglog")$linkinv(x),
     poisson()$linkfun(x), poisson()$linkinv(x), poisson()$mu.eta(x), poisson()$dev.resids(x, y, 1), Gamma()$linkinv(x), Gamma()$dev.resids(x, y, 1),
     gaussian()$linkfun(x), inverse.gaussian()$linkinv(x), quasi()$linkinv(x), make.link("logit")$linkfun(x), make.link("logit")$linkinv(x))
  on("matrix", lm.fit(x, 1:8), lm.fit(x[, 1:3], 1:8), .lm.fit(x, 1:8), lm.wfit(x, 1:8, 1:8), glm.fit(x, 1:8), lsfit(x, 1:8, intercept = FALSE), lm(1:8 ~ x), mvfft(x), prcomp(x), princomp(x),
     factanal(covmat = x, factors = 2), cmdscale(x), cancor(x[, 1:3], x[, 4:6]), cor(x), cov2cor(x), dist(x), hclust(as.dist(x)), kmeans(x, 2),
     heatmap(x), biplot(princomp(x)), medpolish(x, trace.iter = FALSE), chisq.test(abs(x)), reorder(1:8, x[, 1]),
     mahalanobis(x, 1:8, x), optim(1:8, function(p) sum(x %*% p)^2), qr.Q(qr(x)), qr.X(qr(x)), svd(x, 0), polyroot(x[1, ]), varimax(x), promax(x))
  on("time series", decompose(x), stl(x, "periodic"), HoltWinters(x), StructTS(x, "level"), arima(x, c(1, 0, 0)), aggregate(x, 4), lag(x), diff(x),
     window(x, 2001), ts.union(x, x), cbind(x, x), monthplot(x), tsp(x), tsSmooth(StructTS(x, "level")), predict(arima(x, c(1, 0, 0))), KalmanLike(x, list(
     T = matrix(1), Z = 1, h = 0, V = matrix(1), a = 0, P = matrix(1), Pn = matrix(1))), kernapply(x, kernel("daniell", 2)), spectrum(x, plot = FALSE),
     cpgram(x), ar.ols(x))
  on("data frame", lm(a ~ b + g, x), glm(a > 0.5 ~ b, binomial, x), aov(a ~ g, x), model.frame(a ~ b, x), model.matrix(a ~ g, x), complete.cases(x),
     nls(a ~ u + v * b, x, start = list(u = 0, v = 1)), loess(a ~ b, x), t.test(a ~ g, x[x$g != "c", ]), predict(lm(a ~ b, x), x), scale(x[1:3]), cor(x[1:3]), dist(x[1:3]),
     prcomp(x[1:3]), step(lm(a ~ b + y, x), trace = 0), update(lm(a ~ b, x), . ~ . + y), ftable(x$b, x$g), xtabs(a ~ g, x))

  about("Classes")
  on("double", {setClass("Holder", representation(v = "numeric"), where = environment()); h <- new("Holder", v = x); h@v[1] <- 0},
     {setRefClass("Box", fields = list(v = "numeric"), where = environment()) -> Box; b <- Box$new(v = x); b$v[1] <- 0},
     {e <- new.env(); e$v <- x; e$v[1] <- 0}, {h <- structure(list(v = x), class = "holder"); h$v[1] <- 0}, methods::as(x, "integer"))
  listed
}
