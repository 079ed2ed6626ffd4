//! The boundary between the JVM and the Rust core: marshalling only.

mod cipher;
