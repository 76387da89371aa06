//! A decimal number to the nearest float, by one multiplication with a power of ten of 64 bits. What was
//! cut off that power can change the product's upper half by one at most: where that could change how
//! the float is rounded, one time in a thousand, the answer is none and somebody slower has to do it.

/// The powers of ten that columns of data have.
const SMALLEST: i32 = -40;
const LARGEST: i32 = 40;

/// The highest 64 bits of each power, the highest of them set; the rest is cut off.
const POWERS: [u64; (LARGEST - SMALLEST + 1) as usize] = {
    let mut powers = [0; (LARGEST - SMALLEST + 1) as usize];
    // Without its factors of two, which only move bits, a power of ten is one of five.
    let mut power = 1_u128;
    let mut exponent = 0;
    while exponent <= LARGEST {
        powers[(-exponent - SMALLEST) as usize] = reciprocal(power);
        powers[(exponent - SMALLEST) as usize] = ((power << power.leading_zeros()) >> 64) as u64;
        power *= 5;
        exponent += 1;
    }
    powers
};

/// The highest 64 bits of one over a number that is far below 2^127.
const fn reciprocal(number: u128) -> u64 {
    let mut rest = 1;
    let mut quotient = 0;
    // Long division, a binary digit a step.
    while quotient >> 63 == 0 {
        quotient <<= 1;
        if rest >= number {
            rest -= number;
            quotient |= 1;
        }
        rest <<= 1;
    }
    quotient
}

/// `digits` times ten to the power of `exponent`, rounded to the nearest float.
#[inline]
pub(super) fn to_float(digits: u64, exponent: i32) -> Option<f64> {
    if digits == 0 {
        return Some(0.0);
    }
    let power = *POWERS.get(usize::try_from(exponent - SMALLEST).ok()?)?;
    let shift = digits.leading_zeros();
    let product = u128::from(digits << shift) * u128::from(power);
    // With the whole power it would be this or one more.
    let high = (product >> 64) as u64;
    let top = (high >> 63) as u32;
    // 53 bits stay; the others tell how to round.
    let cut_bits = 10 + top;
    let cut = high & ((1 << cut_bits) - 1);
    let half = 1 << (cut_bits - 1);
    if cut == half || cut + 1 == half {
        return None;
    }
    let fraction = (high >> cut_bits) + u64::from(cut > half);
    // The integer part of the logarithm of 10^exponent to the base of two.
    let logarithm = (exponent * 217_706) >> 16;
    let biased = (logarithm + 63 + top as i32 - shift as i32 + 1023) as u64;
    // The fraction's highest bit is not stored: it raises the exponent by one, and so does a fraction
    // that was rounded up to the next power of two. No power in the table leads to subnormal numbers.
    Some(f64::from_bits(((biased - 1) << 52) + fraction))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(digits: u64, exponent: i32) -> Result<(), TestCaseError> {
        if let Some(value) = to_float(digits, exponent) {
            let expected: f64 = format!("{digits}e{exponent}").parse().unwrap();
            prop_assert_eq!(value.to_bits(), expected.to_bits(), "{}e{}", digits, exponent);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn it_rounds_as_the_standard_library_does(digits: u64, exponent in SMALLEST - 2..=LARGEST + 2) {
            check(digits, exponent)?;
        }

        #[test]
        fn short_numbers_too(digits in 0_u64..100_000, exponent in SMALLEST..=LARGEST) {
            check(digits, exponent)?;
        }

        #[test]
        fn the_digits_of_floats_too(value in 1e-10_f64..1e10) {
            let digits = format!("{value:?}").replace('.', "");
            if let Ok(digits) = digits.parse() {
                check(digits, -9)?;
            }
        }

        /// The middle between two floats, and its neighbours.
        #[test]
        fn ties_too(fraction in (1_u64 << 52)..(1_u64 << 53), exponent in 0..12_i32, nudge in -1_i64..=1) {
            let middle = (fraction * 2 + 1).checked_mul(5_u64.pow(exponent as u32).min(1000));
            if let Some(middle) = middle {
                check(middle.wrapping_add_signed(nudge), exponent - 6)?;
            }
        }
    }

    #[test]
    fn it_nearly_always_knows() {
        let unknown = (0..100_000_u64).filter(|number| {
            let digits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 9;
            to_float(digits, -16).is_none()
        });
        assert!(unknown.count() < 400);
    }

    #[test]
    fn every_power_of_the_table_is_right() {
        for exponent in SMALLEST..=LARGEST {
            for digits in [1, 2, 5, 9, 12345, u64::MAX] {
                check(digits, exponent).unwrap();
            }
        }
    }
}
