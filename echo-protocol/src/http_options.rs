//! What a request asks for in its path and query.

use std::time::Duration;

/// The longest delay that a request may ask for.
const MOST_DELAY: Duration = Duration::from_secs(30);

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// The status of the answer.
    pub status: u16,
    /// How long to wait before it.
    pub delay: Duration,
    /// The body as it came, rather than a description of the request.
    pub is_raw: bool,
}

/// A parameter of the query is invalid; says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHttpOption {
    /// The status is none.
    #[error("invalid value {0:?} of status: must be a whole number from 200 to 599")]
    Status(String),
    /// The delay is none.
    #[error("invalid value {0:?} of delay: must be a number of seconds from 0 to {most}", most = MOST_DELAY.as_secs())]
    Delay(String),
}

impl HttpOptions {
    /// Reads a path and a query. Parameters of other names mean nothing.
    ///
    /// # Errors
    /// [`BadHttpOption`], when a value is none that is allowed.
    pub fn read(path: &str, query: Option<&str>) -> Result<Self, BadHttpOption> {
        let mut options = Self {
            status: 200,
            delay: Duration::ZERO,
            is_raw: path == "/raw",
        };
        for parameter in query.unwrap_or_default().split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "status" => {
                    options.status =
                        status(value).ok_or_else(|| BadHttpOption::Status(value.to_owned()))?;
                }
                "delay" => {
                    options.delay =
                        delay(value).ok_or_else(|| BadHttpOption::Delay(value.to_owned()))?;
                }
                "raw" => options.is_raw = true,
                _ => {}
            }
        }
        Ok(options)
    }
}

/// Reads a status; those below 200 are no answers.
fn status(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let status = text.parse().ok()?;
    (digits && (200..=599).contains(&status)).then_some(status)
}

/// Reads seconds.
fn delay(text: &str) -> Option<Duration> {
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse().ok().filter(|_| is_number)?;
    let delay = Duration::try_from_secs_f64(seconds).ok()?;
    (delay <= MOST_DELAY).then_some(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_delay_and_raw_may_be_asked_for_in_any_order() {
        let read = |path, query| HttpOptions::read(path, query).unwrap();
        let plain = read("/", None);
        assert_eq!(
            (plain.status, plain.delay, plain.is_raw),
            (200, Duration::ZERO, false)
        );
        let all = read("/x", Some("raw&delay=0.25&other=1&status=418"));
        assert_eq!(
            (all.status, all.delay, all.is_raw),
            (418, Duration::from_millis(250), true)
        );
        assert!(read("/raw", None).is_raw);
        assert_eq!(read("/", Some("delay=30")).delay, MOST_DELAY);
    }

    #[test]
    fn what_is_out_of_bounds_is_named_with_what_is_allowed() {
        for value in ["", "99", "199", "600", "+200", "2e2", "x"] {
            let error = HttpOptions::read("/", Some(&format!("status={value}"))).unwrap_err();
            let expected = "must be a whole number from 200 to 599";
            assert_eq!(
                error.to_string(),
                format!("invalid value {value:?} of status: {expected}")
            );
        }
        for value in ["", "-1", "30.1", "1e3", "inf", "nan", "1.2.3", "1s"] {
            let error = HttpOptions::read("/", Some(&format!("delay={value}"))).unwrap_err();
            let expected = "must be a number of seconds from 0 to 30";
            assert_eq!(
                error.to_string(),
                format!("invalid value {value:?} of delay: {expected}")
            );
        }
    }
}
