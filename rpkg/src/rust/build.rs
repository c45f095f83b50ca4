//! Link options of the library that R loads.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    match os.as_str() {
        // dyn.unload() must not take code away that finalizers, thread-local destructors and fork hooks still call.
        "linux" => println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete"),
        // R's own symbols are found in the process that loads us. Not tested.
        "macos" => println!("cargo::rustc-cdylib-link-arg=-Wl,-undefined,dynamic_lookup"),
        _ => {}
    }
}
