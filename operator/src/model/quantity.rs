//! Resource quantities in canonical form, which the API server does not change.
//!
//! The server rewrites `1000m` to `1` and `65536Ki` to `64Mi` (the canonical form of `resource.Quantity`); an
//! operator that wrote the user's notation would find its own write changed and write it again.

/// Suffixes by the power of ten that they stand for, largest first, down to nano, the finest that can be written.
const DECIMAL: [(&str, i32); 10] = [
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("", 0),
    ("m", -3),
    ("u", -6),
    ("n", -9),
];

/// Suffixes by the power of two that they stand for, largest first.
const BINARY: [(&str, u32); 6] = [
    ("Ei", 60),
    ("Pi", 50),
    ("Ti", 40),
    ("Gi", 30),
    ("Mi", 20),
    ("Ki", 10),
];

/// Amounts are in billionths (nano).
const NANO: i128 = 1_000_000_000;

/// The API server rounds the resources of a container up to thousandths (milli).
const MILLI: i128 = 1_000_000;

/// The text is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a number from 0 to 9E with an optional suffix, as in 250m, 0.5, 64Mi or 1e3")]
pub struct InvalidQuantity;

/// Brings a quantity to the one form of its amount: no fraction, nothing finer than a thousandth, the largest suffix that leaves a
/// whole number, decimal or binary, whichever is shorter. The server would keep `64Mi` and `67108864` apart; here they must not be,
/// or another notation of the same amount would write the child.
///
/// # Errors
/// [`InvalidQuantity`] for text of another form, a negative amount, or one beyond the server's range.
pub fn canonical(text: &str) -> Result<String, InvalidQuantity> {
    let (number, suffix) = text
        .find(|c: char| !matches!(c, '0'..='9' | '.' | '+'))
        .map_or((text, ""), |at| text.split_at(at));
    if let Some((_, exponent)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        let nanos = scaled(number, 9)?.checked_mul(1 << exponent);
        return print(nanos.ok_or(InvalidQuantity)?);
    }
    print(scaled(number, 9 + decimal_exponent(suffix)?)?)
}

fn decimal_exponent(suffix: &str) -> Result<i32, InvalidQuantity> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok(*exponent);
    }
    let digits = suffix.strip_prefix(['e', 'E']).ok_or(InvalidQuantity)?;
    digits
        .parse()
        .ok()
        .filter(|exponent| (-18..=18).contains(exponent))
        .ok_or(InvalidQuantity)
}

/// Reads `12.5` times ten to the `exponent`, rounded up to a whole number as the server rounds.
fn scaled(number: &str, exponent: i32) -> Result<i128, InvalidQuantity> {
    let number = number.strip_prefix('+').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    let fraction_length = i32::try_from(fraction.len()).map_err(|_| InvalidQuantity)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidQuantity);
    }
    let digits: i128 = digits.parse().map_err(|_| InvalidQuantity)?;
    let exponent = exponent - fraction_length;
    let power = 10_i128
        .checked_pow(exponent.unsigned_abs())
        .ok_or(InvalidQuantity)?;
    if exponent < 0 {
        return Ok(digits / power + i128::from(digits % power != 0));
    }
    digits.checked_mul(power).ok_or(InvalidQuantity)
}

fn print(nanos: i128) -> Result<String, InvalidQuantity> {
    if nanos > i128::from(i64::MAX) * NANO {
        return Err(InvalidQuantity);
    }
    let nanos = (nanos + MILLI - 1) / MILLI * MILLI;
    let decimal =
        DECIMAL.map(|(suffix, exponent)| (suffix, 10_i128.pow((exponent + 9).unsigned_abs())));
    let binary = BINARY.map(|(suffix, exponent)| (suffix, NANO << exponent));
    [with_suffix(nanos, &decimal), with_suffix(nanos, &binary)]
        .into_iter()
        .flatten()
        .min_by_key(String::len)
        .ok_or(InvalidQuantity)
}

/// Writes an amount with the first suffix that leaves a whole number.
fn with_suffix(nanos: i128, units: &[(&str, i128)]) -> Option<String> {
    if nanos == 0 {
        return Some("0".to_owned());
    }
    let (suffix, unit) = units.iter().find(|(_, unit)| nanos % unit == 0)?;
    Some(format!("{}{suffix}", nanos / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_of_an_amount_has_one_canonical_form() {
        for (written, kept) in [
            ("1000m", "1"),
            ("0.1", "100m"),
            (".5", "500m"),
            ("1.", "1"),
            ("+2", "2"),
            ("1e3", "1k"),
            ("1E3", "1k"),
            ("1.5e-3", "2m"),
            ("1500u", "2m"),
            ("64Mi", "64Mi"),
            ("65536Ki", "64Mi"),
            ("1024Mi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("1.5Ki", "1536"),
            ("67108864", "64Mi"),
            ("67108864000m", "64Mi"),
            ("62500Ki", "64M"),
            ("0.128G", "128M"),
            ("1000k", "1M"),
            ("3E", "3E"),
            ("0", "0"),
            ("0Mi", "0"),
            ("0.0000000001", "1m"),
        ] {
            assert_eq!(canonical(written).as_deref(), Ok(kept), "{written}");
        }
    }

    #[test]
    fn a_canonical_form_is_its_own_canonical_form() {
        for text in ["1", "100m", "64Mi", "64M", "1k", "1536", "1m", "3E", "7Ei"] {
            assert_eq!(canonical(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_no_quantity_is_rejected() {
        for text in [
            "", ".", "-1", "1x", "Mi", "1 Mi", "1e", "1e99", "1.2.3", "9Ei9", "10E", "8Ei", "1++",
        ] {
            assert_eq!(canonical(text), Err(InvalidQuantity), "{text}");
        }
    }
}
