//! What a path and a query ask for is within bounds, or refused with an error that names it.
#![no_main]

use std::time::Duration;

use echo_protocol::http_options::HttpOptions;
use libfuzzer_sys::fuzz_target;

/// The parameters that mean something.
const NAMES: [&str; 3] = ["status=", "delay=", "raw"];

/// A path, and for each parameter a name, a number below 1000 or none, and what follows.
type Asked = (String, Vec<(u8, Option<u16>, String)>);

fuzz_target!(|asked: Asked| {
    let (path, parameters) = asked;
    let mut query = String::new();
    for (name, number, more) in &parameters {
        let name = NAMES.get(usize::from(*name) % 4).unwrap_or(&"");
        let number = number
            .map(|number| (number % 1000).to_string())
            .unwrap_or_default();
        query += &format!("{name}{number}{more}&");
    }
    match HttpOptions::read(&path, Some(&query)) {
        Ok(options) => {
            assert!((200..=599).contains(&options.status));
            assert!(options.delay <= Duration::from_secs(30));
            assert!(options.is_raw || path != "/raw");
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(": must be a "), "{error}");
        }
    }
});
