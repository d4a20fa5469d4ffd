//! Black-box tests, in one binary: linking DataFusion is the dearest step of a test run.

#[cfg(test)]
mod tidy;
