//! The Python modules that come with the server, for scripts and functions to import: TabPy's tools for
//! deploying, and the marks by which a file publishes functions.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Names and sources; packages end with a dot. Nothing is compiled before it is imported.
const SOURCES: [(&str, &str); 9] = [
    ("tabpy.", include_str!("tabpy.py")),
    ("tabpy.tabpy_tools.", include_str!("tabpy_tools/__init__.py")),
    ("tabpy.tabpy_tools.client", include_str!("tabpy_tools/client.py")),
    ("tabpy.tabpy_tools.custom_query_object", include_str!("tabpy_tools/custom_query_object.py")),
    ("tabpy.tabpy_tools.query_object", include_str!("tabpy_tools/query_object.py")),
    ("tabpy.tabpy_tools.rest", include_str!("tabpy_tools/rest.py")),
    ("tabpy.tabpy_tools.schema", include_str!("tabpy_tools/schema.py")),
    ("tabpy_rs", include_str!("tabpy_rs.py")),
    ("_tabpy_rs_published", include_str!("published.py")),
];

/// Makes them known to `import`.
pub(super) fn offer(py: Python<'_>) -> PyResult<()> {
    let sources = PyDict::new(py);
    for (name, source) in SOURCES {
        sources.set_item(name, source)?;
    }
    super::module(py, include_str!("modules.py"), c"_tabpy_rs_modules")?
        .getattr("offer")?
        .call1((sources,))?;
    Ok(())
}
