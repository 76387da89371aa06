//! A `/dev/shm` of the worker's own, so that what scripts leave in it is seen by nobody else and is
//! gone with the worker. It takes root's rights, so it comes before they are given up.
#![expect(unsafe_code, reason = "rustix has no safe interface for unshare")]

use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Where semaphores and shared memory of `multiprocessing` lie.
pub(super) const PLACE: &str = "/dev/shm";

/// Whether the worker has its own from now on; `most` bytes fit into it.
pub(super) fn own(most: u64) -> bool {
    Path::new(PLACE).is_dir() && try_own(most).is_ok()
}

fn try_own(most: u64) -> rustix::io::Result<()> {
    // SAFETY: what makes the call unsafe is unsharing the table of descriptors, which stays shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS)? };
    // Nothing that is mounted here may show outside.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let options = std::ffi::CString::new(format!("size={most},mode=1777")).unwrap_or_default();
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", PLACE, "tmpfs", flags, options.as_c_str())
}
