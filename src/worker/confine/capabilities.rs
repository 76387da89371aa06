//! What makes root more than a user: gone for the worker and all that it starts. Files that root owns
//! stay its own; keeping those is the other layers' work.

use rustix::thread::{self, CapabilitySet, CapabilitySets};

/// Whether this process has any.
pub(super) fn any() -> bool {
    thread::capabilities(None).map_or(true, |sets| !sets.permitted.is_empty())
}

/// Whether none is left, and none can be gained by running a program.
pub(super) fn drop_all() -> bool {
    let Ok(()) = thread::set_no_new_privs(true) else { return false };
    let _ = thread::clear_ambient_capability_set();
    for capability in CapabilitySet::all().iter() {
        // Without CAP_SETPCAP the bound stays; no_new_privs keeps programs from making use of it.
        let _ = thread::remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    thread::set_capabilities(None, sets).is_ok() && !any()
}
