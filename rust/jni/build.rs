//! Link settings of the shared library.

fn main() {
    // The tokio runtime's threads outlive whatever asked for them. When a class loader is collected, the JVM unloads
    // its libraries; code that a thread still runs must stay mapped.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rerun-if-changed=build.rs");
}
