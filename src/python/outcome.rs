//! What a request came to, as far as that is known when the reply goes.

/// What a request came to.
pub struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// Length of the longest argument, and of the answer.
    pub rows_in: usize,
    pub rows_out: usize,
    /// Whether Tableau can take the answer: as many rows as went in, or one for all of them.
    pub fits: bool,
    /// Whether it is known already that no other script should meet this process.
    pub last: bool,
    /// Whether the script computed its answer from its arguments and did nothing else, if one ran at all.
    pub pure: bool,
    /// It was not run, since it is not pure and was to run only if it is; or another one has run here.
    pub declined: bool,
}

impl Outcome {
    /// Without rows.
    pub fn of(status: u16) -> Self {
        Self { status, rows_in: 0, rows_out: 0, fits: true, last: false, pure: false, declined: false }
    }

    pub(super) fn fit(&mut self, rows_in: usize, columns: bool) {
        self.rows_in = rows_in;
        self.fits = columns || rows_in == 0 || self.rows_out == 1 || self.rows_out == rows_in;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tableau_takes_one_value_or_as_many_as_rows() {
        let fits = |rows_in, rows_out, columns| {
            let mut outcome = Outcome { rows_out, ..Outcome::of(200) };
            outcome.fit(rows_in, columns);
            outcome.fits
        };
        assert!(fits(3, 3, false) && fits(3, 1, false) && fits(0, 5, false) && fits(3, 2, true));
        assert!(!fits(3, 2, false) && !fits(3, 0, false));
    }
}
