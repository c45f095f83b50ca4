# SharedObject/sharedMemory.h: a package that uses it from C and from C++, built and installed as SharedObject's vignette says.

skip_on_os("windows")
skip_without_processes()

makevars <- '
SHARED_OBJECT_LIBS = $(shell echo \'cowshed:::pkgconfig("PKG_LIBS")\'|\\
"${R_HOME}/bin/R" --vanilla --slave)
SHARED_OBJECT_CPPFLAGS = $(shell echo \'cowshed:::pkgconfig("PKG_CPPFLAGS")\'|\\
"${R_HOME}/bin/R" --vanilla --slave)
PKG_LIBS := $(PKG_LIBS) $(SHARED_OBJECT_LIBS)
PKG_CPPFLAGS := $(PKG_CPPFLAGS) $(SHARED_OBJECT_CPPFLAGS)
PKG_CFLAGS = -Wall -Wextra -Werror
PKG_CXXFLAGS = -Wall -Wextra -Werror
'

c_code <- '
#include "SharedObject/sharedMemory.h"
#include <Rinternals.h>
#include <string.h>

/* A row of answers, checked in R. */
SEXP c_all(SEXP name)
{
    const char *wanted = CHAR(STRING_ELT(name, 0));
    SEXP out = PROTECT(allocVector(REALSXP, 14));
    double *answer = REAL(out);
    const char *id = allocateSharedMemory(100, NULL);
    answer[0] = (double) strlen(id);
    answer[1] = getSharedMemorySize(id);
    answer[2] = isSharedMemoryMapped(id);
    unsigned char *bytes = mapSharedMemory(id);
    answer[3] = isSharedMemoryMapped(id);
    bytes[99] = 5;
    answer[4] = ((unsigned char *) mapSharedMemory(id))[99];
    answer[5] = autoReleaseAfterUse(id);
    unmapSharedMemory(id);
    answer[6] = isSharedMemoryMapped(id);
    answer[7] = hasSharedMemory(id);
    mapSharedMemory(id);
    setAutoReleaseAfterUse(id, true);
    answer[8] = autoReleaseAfterUse(id);
    unmapSharedMemory(id);
    answer[9] = hasSharedMemory(id);
    const char *named = allocateSharedMemory(0, wanted);
    answer[10] = strcmp(named, wanted) == 0;
    answer[11] = getSharedMemorySize(wanted);
    freeSharedMemory(named);
    answer[12] = hasSharedMemory(wanted);
    const char *unnamed = allocateSharedMemory(1, "");
    answer[13] = hasSharedMemory(unnamed);
    freeSharedMemory(unnamed);
    UNPROTECT(1);
    return out;
}

SEXP c_sum(SEXP id)
{
    const char *text = CHAR(STRING_ELT(id, 0));
    const double *x = mapSharedMemory(text);
    double sum = 0;
    for (double i = 0; i < getSharedMemorySize(text) / sizeof(double); i++) sum += x[(size_t) i];
    unmapSharedMemory(text);
    return ScalarReal(sum);
}

SEXP c_null(void) { return ScalarLogical(hasSharedMemory(NULL)); }
'

cpp_code <- '
#include <vector>
#include "SharedObject/sharedMemory.h"
#include <algorithm>
#define R_NO_REMAP
#include <Rinternals.h>

extern "C" SEXP cpp_all(SEXP name)
{
    std::vector<double> answer;
    const std::string wanted = CHAR(STRING_ELT(name, 0));
    {
        std::string id = allocateSharedMemory(100);
        answer.push_back(id.size());
        answer.push_back(getSharedMemorySize(id));
        answer.push_back(isSharedMemoryMapped(id));
        unsigned char *bytes = static_cast<unsigned char *>(mapSharedMemory(id));
        answer.push_back(isSharedMemoryMapped(id));
        bytes[99] = 5;
        answer.push_back(static_cast<unsigned char *>(mapSharedMemory(id))[99]);
        answer.push_back(autoReleaseAfterUse(id));
        unmapSharedMemory(id);
        answer.push_back(isSharedMemoryMapped(id));
        answer.push_back(hasSharedMemory(id));
        mapSharedMemory(id);
        autoReleaseAfterUse(id, true);
        answer.push_back(autoReleaseAfterUse(id));
        unmapSharedMemory(id);
        answer.push_back(hasSharedMemory(id));
        std::string named = allocateSharedMemory(0, wanted);
        answer.push_back(named == wanted);
        answer.push_back(getSharedMemorySize(wanted));
        freeSharedMemory(named);
        answer.push_back(hasSharedMemory(wanted));
        std::string unnamed = allocateSharedMemory(1, "");
        answer.push_back(hasSharedMemory(unnamed));
        freeSharedMemory(unnamed);
    }
    SEXP out = Rf_allocVector(REALSXP, answer.size());
    std::copy(answer.begin(), answer.end(), REAL(out));
    return out;
}

extern "C" SEXP cpp_set(SEXP name, SEXP at, SEXP value)
{
    double *x = static_cast<double *>(mapSharedMemory(CHAR(STRING_ELT(name, 0))));
    x[Rf_asInteger(at)] = Rf_asReal(value);
    return R_NilValue;
}

extern "C" SEXP cpp_small(SEXP name)
{
    allocateSharedMemory(1000, CHAR(STRING_ELT(name, 0)));
    return R_NilValue;
}
'

# The package, in a library of its own; installed once.
client <- local({
  library <- NULL
  function() {
    skip_without_compiler(c("CC", "CXX"))
    if (is.null(library)) {
      source <- file.path(scratch(), "client")
      dir.create(file.path(source, "src"), recursive = TRUE)
      writeLines(c(
        "Package: client", "Version: 1.0", "Title: Uses the Header", "Description: Uses the header.", "Author: Nobody", "License: MIT",
        "Maintainer: Nobody <nobody@cowshed.example>", "LinkingTo: cowshed", "SystemRequirements: GNU make"
      ), file.path(source, "DESCRIPTION"))
      writeLines("useDynLib(client, c_all, c_sum, c_null, cpp_all, cpp_set, cpp_small)", file.path(source, "NAMESPACE"))
      writeLines(makevars, file.path(source, "src", "Makevars"))
      writeLines(c_code, file.path(source, "src", "c.c"))
      writeLines(cpp_code, file.path(source, "src", "cpp.cpp"))
      target <- tempfile("library-")
      dir.create(target)
      paths <- paste0("R_LIBS=", paste(.libPaths(), collapse = ":"))
      output <- suppressWarnings(system2(
        file.path(R.home("bin"), "R"), c("CMD", "INSTALL", "--no-test-load", paste0("--library=", target), source),
        stdout = TRUE, stderr = TRUE, env = paths, timeout = 120
      ))
      if (!dir.exists(file.path(target, "client"))) stop(paste(output, collapse = "\n"))
      library <<- target
    }
    library
  }
})

expected <- c(32, 100, 0, 1, 5, 0, 0, 1, 1, 0, 1, 1, 0, 1)

test_that("C and C++ allocate, map, write, unmap, release and free, in a process that has not loaded cowshed", {
  library <- client()
  with_new_store({
    for (language in c("c", "cpp")) {
      got <- run_r({
        .libPaths(c(library, .libPaths()))
        loadNamespace("client")
        before <- isNamespaceLoaded("cowshed")
        all <- .Call(getNativeSymbolInfo(paste0(language, "_all"), "client"), "a name")
        answer(list(before, all, nrow(cowshed::listSharedObjects())))
      }, language = language, library = library)
      expect_ended_well(got)
      expect_false(got$answer[[1]])
      expect_identical(got$answer[[2]], expected)
      expect_identical(got$answer[[3]], 0L)
    }
    expect_clean_store()
  })
})

test_that("C, C++ and R, in several processes, see one memory by name, and shared objects by id", {
  library <- client()
  with_new_store({
    allocateSharedMemory(800, "by name")
    x <- share(as.numeric(1:5000))
    live <- share(numeric(100), copyOnWrite = FALSE)
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      client <- asNamespace("client")
      call <- function(name, ...) .Call(get(name, client), ...)
      call("cpp_set", "by name", 99L, 40)
      call("cpp_set", "by name", 0L, 2)
      call("cpp_set", live, 7L, 5)
      answer(list(call("c_sum", "by name"), call("c_sum", x)))
    }, library = library, x = cowshed:::data_id(x), live = cowshed:::data_id(live))
    expect_ended_well(got)
    expect_identical(got$answer, list(42, sum(as.numeric(1:5000))))
    expect_identical(live[8], 5)
    again <- run_r({
      .libPaths(c(library, .libPaths()))
      answer(.Call(get("c_sum", asNamespace("client")), "by name"))
    }, library = library)
    expect_identical(again$answer, 42)
    freeSharedMemory("by name")
  })
})

test_that("errors are R errors with cowshed's classes, and R goes on", {
  library <- client()
  with_new_store({
    got <- run_r({
      .libPaths(c(library, .libPaths()))
      client <- asNamespace("client")
      call <- function(name, ...) .Call(get(name, client), ...)
      cowshed::allocateSharedMemory(10, "small")
      gone <- lapply(1:50, function(i) condition_of(call("c_sum", "nothing")))[[50]]
      answer(list(gone, condition_of(call("cpp_set", "nothing", 0L, 1)), condition_of(call("cpp_small", "small")), condition_of(call("c_null"))))
    }, library = library)
    expect_ended_well(got)
    expect_condition_class(got$answer[[1]], "gone")
    expect_condition_class(got$answer[[2]], "gone")
    expect_condition_class(got$answer[[3]], "size")
    expect_match(got$answer[[3]]$message, "1000 bytes.* 10 bytes")
    expect_condition_class(got$answer[[4]], "argument")
  })
})

test_that("the library exports R_init_cowshed and nothing else", {
  skip_if(!nzchar(Sys.which("nm")), "there is no nm")
  so <- getLoadedDLLs()[["cowshed"]][["path"]]
  symbols <- system2("nm", c("--dynamic", "--defined-only", shQuote(so)), stdout = TRUE)
  expect_identical(sub(".* ", "", symbols), "R_init_cowshed")
})
