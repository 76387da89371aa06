//! Tells the binary which Python it is linked to, and where its library lies.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    // What distinguishes one Python from another.
    pyo3_build_config::use_pyo3_cfgs();
    // The library may be in a folder that the loader does not search (pyenv, a venv's base).
    pyo3_build_config::add_libpython_rpath_link_args();
    let python = pyo3_build_config::get();
    println!("cargo:rustc-env=TABPY_LINKED_PYTHON_VERSION={}", python.version());
    let executable = python.executable().unwrap_or("python3");
    println!("cargo:rustc-env=TABPY_LINKED_PYTHON={executable}");
}
