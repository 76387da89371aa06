//! What a request has left behind: what it printed is sent on its way before the reply, and afterwards
//! the process is put right for the next script, or known not to be. What a script can have changed is
//! judged by its code, in `script`; how it is put right is state.py's.

use pyo3::prelude::*;

use super::script::Risk;
use super::{Interpreter, Outcome, interpreter};

/// What a request has left of the process for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aftermath {
    /// All is as it was.
    Untouched,
    /// What was changed is as it was again, but for files.
    PutRight,
    /// No other script should meet the process.
    Spoilt,
}

impl Interpreter {
    /// Replies, lets go of the arguments, and then leaves the process as the next script may expect it.
    pub(super) fn finish<R>(
        &self,
        py: Python<'_>,
        mut outcome: Outcome,
        answer: &[u8],
        risk: Risk,
        reply: impl FnOnce(Outcome, &[u8]) -> R,
        let_go: impl FnOnce(),
    ) -> (R, Aftermath) {
        if outcome.declined || outcome.pure && self.innocent {
            let replied = reply(outcome, answer);
            let_go();
            return (replied, Aftermath::Untouched);
        }
        let heard = self.flush(py);
        let whole = risk.and(self.functions.used().risk);
        // Told with the reply, so that another worker is made at once; the rest is looked into afterwards.
        outcome.last = !heard || whole.is_beyond_repair() || whole != Risk::NONE && self.has_company(py);
        let last = outcome.last;
        let replied = reply(outcome, answer);
        // A script's objects among them may have code that runs only now.
        let_go();
        // What is printed late is not to wait for the next script's lines.
        let right = !last && self.is_right(py, risk) && self.flush(py);
        (replied, if right { Aftermath::PutRight } else { Aftermath::Spoilt })
    }

    /// Sends what was printed on its way before the answer; says whether that worked.
    pub(super) fn flush(&self, py: Python<'_>) -> bool {
        let mut heard = true;
        for (name, stream) in [c"stdout", c"stderr"].iter().zip(&self.standard_output) {
            let stream = stream.bind(py);
            // A script may have closed it, or the descriptor below.
            heard &= stream.call_method0("flush").is_ok();
            interpreter::set_system_object(py, name, stream);
        }
        heard
    }

    /// Leaves the process as the next script may expect it, if it can be.
    fn is_right(&self, py: Python<'_>, risk: Risk) -> bool {
        interpreter::restore_collector();
        // Libraries leave threads and processes behind without the script's naming any.
        if self.has_company(py) {
            return false;
        }
        let used = self.functions.used();
        let whole = risk.and(used.risk).and(if used.has_loaded { Risk::LOADING } else { Risk::NONE });
        if whole == Risk::NONE {
            return true;
        }
        let Some(state) = &self.state else { return false };
        // Where the script itself may have changed modules, nobody can say who it was.
        let accept = used.has_loaded && !risk.and(used.risk).is_about_objects();
        let restored = state.bind(py).call_method1("restore", (whole.0, accept));
        let restored = restored.and_then(|restored| restored.extract()).unwrap_or(false);
        // What ran only now may have left some as well.
        restored && !(whole.runs_later() && self.has_company(py))
    }

    /// Whether there are threads or child processes.
    fn has_company(&self, py: Python<'_>) -> bool {
        let threads = self.thread_count.bind(py).call0().and_then(|count| count.extract::<usize>());
        !matches!(threads, Ok(0)) || has_children()
    }
}

/// Whether this process has children, ended ones included.
fn has_children() -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, look), Err(rustix::io::Errno::CHILD))
}
