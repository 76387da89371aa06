//! The name of a deployed function: ASCII letters, digits, underscores, hyphens and spaces, as TabPy
//! takes it. A name that exists is right, also as part of a path.

/// What a refusal says, in TabPy's words.
pub const WHAT_A_NAME_TAKES: &str =
    "endpoint name can only contain: a-z, A-Z, 0-9, underscore, hyphens and spaces.";

const LONGEST: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionName(String);

impl FunctionName {
    pub fn new(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_- ".contains(&byte);
        let right = (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain);
        right.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a Python function of this name can have.
    pub fn identifier(&self) -> String {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let text: String = self.0.chars().map(plain).collect();
        if text.starts_with(|first: char| first.is_ascii_digit()) { format!("_{text}") } else { text }
    }
}

impl std::fmt::Display for FunctionName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_tabpy_takes_them() {
        for name in ["add", "Sentiment Analysis", "a-b_C 9", "9", &"x".repeat(255)] {
            assert!(FunctionName::new(name).is_some(), "{name}");
        }
        for name in ["", "a/b", "..", "größe", "a\n", "a\tb", "a.b", "a\0", &"x".repeat(256)] {
            assert!(FunctionName::new(name).is_none(), "{name:?}");
        }
        assert_eq!(FunctionName::new("Sentiment Analysis").unwrap().identifier(), "Sentiment_Analysis");
        assert_eq!(FunctionName::new("2-b").unwrap().identifier(), "_2_b");
    }
}
