//! How both programs read flags: a bad one is answered by one line that names it, its value and what
//! is allowed.

use std::fmt;

use clap::error::ErrorKind;

/// Says why there is nothing to run: a bad flag, or `--help` and `--version`, which are no failure.
#[derive(Debug)]
pub struct UsageError {
    /// The text to print: one line for a bad flag.
    pub text: String,
    /// Whether it is a bad flag, which is exit code 2 and standard error.
    pub is_bad_usage: bool,
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl UsageError {
    /// Makes the one line of a bad flag.
    pub fn bad_usage(text: String) -> Self {
        Self {
            text,
            is_bad_usage: true,
        }
    }
}

impl From<clap::Error> for UsageError {
    /// Reduces clap's paragraphs to one line; `--help` and `--version` stay whole.
    fn from(error: clap::Error) -> Self {
        let text = error.to_string();
        if !error.use_stderr() {
            return Self {
                text: text.trim_end().to_owned(),
                is_bad_usage: false,
            };
        }
        let first = text.strip_prefix("error: ").unwrap_or(&text);
        let first = first.split("\n\n").next().unwrap_or_default();
        let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let lists_allowed_values = error.kind() == ErrorKind::ValueValidation;
        let hint = if lists_allowed_values {
            ""
        } else {
            "; --help lists what is allowed"
        };
        Self::bad_usage(format!("{line}{hint}"))
    }
}

/// Reads a number within bounds, or says what is allowed.
pub fn whole_number(
    least: u32,
    most: u32,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok();
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
    }
}
