fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    pyo3_build_config::add_libpython_rpath_link_args();
    let executable = pyo3_build_config::get().executable().unwrap_or("python3");
    println!("cargo:rustc-env=LINKED_PYTHON={executable}");
}
