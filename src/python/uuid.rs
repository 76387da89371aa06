//! Random identifiers of answers, as Python's `uuid.uuid4()` makes them.

/// Thirty-six characters; all zeros where the machine has no random bytes, since nobody relies on them.
pub(super) fn random() -> String {
    let mut bytes = [0; 16];
    let _ = getrandom::fill(&mut bytes);
    let number = u128::from_be_bytes(bytes) & !(0xf << 76 | 0xc << 60) | (0x4 << 76 | 0x8 << 60);
    let digits = format!("{number:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::random;

    #[test]
    fn it_says_that_it_is_random() {
        let text = random();
        let parts: Vec<&str> = text.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('4') && "89ab".contains(&parts[3][..1]), "{text}");
        assert!(text != random() && parts.concat().bytes().all(|digit| digit.is_ascii_hexdigit()));
    }
}
