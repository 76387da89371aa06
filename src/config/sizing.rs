//! What is made of the memory there is, where nothing is set: how many workers, how much each of them
//! may take, and how much of it bodies may. The sum need not fit, since not all ask for all at once;
//! each alone must.

const MB: u64 = 1 << 20;

/// What the front, the fork server and the system below need of a small container.
const OWN: u64 = 160 * MB;

/// What one more warm worker should have for itself.
const WARM: u64 = 96 * MB;

/// What one more worker needs while others are busy.
const GROWN: u64 = 48 * MB;

/// What one worker may take: half of what there is for scripts, so that one large script does not end
/// the others.
pub(super) fn for_a_worker(total: u64) -> u64 {
    (total.saturating_sub(OWN) / 2).max(64 * MB)
}

/// Workers kept warm: one per core, at least two, where there is memory for them.
pub(super) fn workers(total: u64, cores: usize) -> usize {
    cores.max(2).min(fitting(total, WARM))
}

/// How far the pool may grow.
pub(super) fn most_workers(total: u64, workers: usize) -> usize {
    (workers * 4).min(fitting(total, GROWN)).max(workers)
}

/// The longest body, in MB: what TabPy takes, or an eighth of a small container.
pub(super) fn body_megabytes(total: u64) -> usize {
    usize::try_from(total / 8 / MB).map_or(100, |megabytes| megabytes.clamp(1, 100))
}

/// The longest function, in MB: what TabPy's clients send at most, or a quarter of a tiny container.
pub(super) fn function_megabytes(total: u64) -> usize {
    usize::try_from(total / 4 / MB).map_or(100, |megabytes| megabytes.clamp(1, 100))
}

/// What all bodies together may take: a quarter, and enough for the longest one, compressed and inflated, and for
/// the longest function.
pub(super) fn for_bodies(total: u64, longest: usize, function: usize) -> usize {
    usize::try_from(total / 4).unwrap_or(usize::MAX).max(longest.saturating_mul(2)).max(function)
}

fn fitting(total: u64, each: u64) -> usize {
    usize::try_from(total.saturating_sub(OWN) / each).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_container_is_shared_out() {
        let total = 512 * MB;
        assert_eq!(for_a_worker(total) / MB, 176);
        assert_eq!((workers(total, 8), most_workers(total, 3)), (3, 7));
        assert_eq!(function_megabytes(total), 100);
        assert_eq!((body_megabytes(total), for_bodies(total, 64 << 20, 100 << 20) >> 20), (64, 128));
    }

    #[test]
    fn a_large_machine_is_not_the_limit_and_a_tiny_one_has_one_of_each() {
        let total = 64 << 30;
        assert_eq!((workers(total, 8), most_workers(total, 8)), (8, 32));
        assert_eq!((body_megabytes(total), for_bodies(total, 100 << 20, 0)), (100, 16 << 30));
        let total = 128 * MB;
        assert_eq!(function_megabytes(total), 32);
        assert_eq!(for_bodies(total, 16 << 20, 100 << 20), 100 << 20, "each alone must fit");
        assert_eq!((workers(total, 1), most_workers(total, 1), for_a_worker(total) / MB), (1, 1, 64));
    }
}
