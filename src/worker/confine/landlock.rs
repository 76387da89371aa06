//! Files, signals and abstract sockets, by Landlock: the worker may open what [`Places`] lists, and
//! from ABI 6 on it signals only what it has started. A kernel that knows less holds less.

use std::fmt;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::places::Places;

/// What is asked of the kernel: no newer than what the tests have seen.
const ASKED: ABI = ABI::V7;

/// How much the kernel holds.
pub(super) enum Held {
    Nothing { why: &'static str },
    Abi(ABI),
}

impl Held {
    pub(super) fn holds(&self) -> bool {
        matches!(self, Self::Abi(_))
    }

    /// Whether signals and abstract sockets stay among the worker and what it starts.
    pub(super) fn scoped(&self) -> bool {
        matches!(self, Self::Abi(abi) if *abi >= ABI::V6)
    }

    /// Whether TCP is closed where it was asked to be.
    pub(super) fn closes_network(&self) -> bool {
        matches!(self, Self::Abi(abi) if *abi >= ABI::V4)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { why } => write!(formatter, "no landlock ({why})"),
            Self::Abi(abi) => write!(formatter, "landlock {}", *abi as i32),
        }
    }
}

pub(super) fn restrict(places: &Places, network: bool) -> Held {
    match try_restrict(places, network) {
        Ok(held) => held,
        Err(_) => Held::Nothing { why: "the kernel refuses it" },
    }
}

fn try_restrict(places: &Places, network: bool) -> Result<Held, RulesetError> {
    let device: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut ruleset =
        Ruleset::default().handle_access(AccessFs::from_all(ASKED))?.scope(Scope::from_all(ASKED))?;
    if !network {
        ruleset = ruleset.handle_access(AccessNet::from_all(ASKED))?;
    }
    let status = ruleset
        .create()?
        .add_rules(path_beneath_rules(&places.read, AccessFs::from_read(ASKED)))?
        .add_rules(path_beneath_rules(&places.write, AccessFs::from_all(ASKED)))?
        .add_rules(path_beneath_rules(places.devices, device))?
        .restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Held::Nothing { why: "it is switched off in this kernel" }
        }
        (RulesetStatus::NotEnforced, _) => Held::Nothing { why: "this kernel lacks it" },
        (_, LandlockStatus::Available { effective_abi, .. }) => Held::Abi(effective_abi.min(ASKED)),
        (_, _) => Held::Nothing { why: "this kernel lacks it" },
    })
}
