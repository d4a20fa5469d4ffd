//! A build script makes Cargo consider the build dependencies.

fn main() {}
