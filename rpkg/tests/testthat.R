library(testthat)
library(cowshed)

test_check("cowshed")
