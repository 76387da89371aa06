//! Files, signals and abstract sockets, by Landlock: the worker may open what is named to it, and from
//! ABI 6 on it signals only what it has started. A kernel that knows less holds less.

use std::fmt;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use super::opened::Beneath;
use super::places::Right;

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

pub(super) fn restrict(places: &[Beneath], network: bool) -> Held {
    match try_restrict(places, network) {
        Ok(held) => held,
        Err(_) => Held::Nothing { why: "the kernel refuses it" },
    }
}

fn try_restrict(places: &[Beneath], network: bool) -> Result<Held, RulesetError> {
    let mut ruleset =
        Ruleset::default().handle_access(AccessFs::from_all(ASKED))?.scope(Scope::from_all(ASKED))?;
    if !network {
        ruleset = ruleset.handle_access(AccessNet::from_all(ASKED))?;
    }
    let rules = places.iter().map(|place| Ok::<_, RulesetError>(rule(place)));
    let status = ruleset.create()?.add_rules(rules)?.restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Held::Nothing { why: "it is switched off in this kernel" }
        }
        (RulesetStatus::NotEnforced, _) => Held::Nothing { why: "this kernel lacks it" },
        (_, LandlockStatus::Available { effective_abi, .. }) => Held::Abi(effective_abi.min(ASKED)),
        (_, _) => Held::Nothing { why: "this kernel lacks it" },
    })
}

fn rule(place: &Beneath) -> PathBeneath<&PathFd> {
    let access: BitFlags<AccessFs> = match place.right {
        Right::Read => AccessFs::from_read(ASKED),
        Right::Write => AccessFs::from_all(ASKED),
        Right::Device => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev,
    };
    // Some rights are about folders only, and the kernel refuses them for a file.
    let access = if place.is_file { access & AccessFs::from_file(ASKED) } else { access };
    PathBeneath::new(&place.descriptor, access)
}
