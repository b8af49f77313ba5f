//! Faults that the server injects, to test clients: written `KIND=VALUE`.
//!
//! | fault | what happens |
//! |---|---|
//! | `delay=MILLIS` or `delay=MILLIS~JITTER` | each answer comes that much later, give or take |
//! | `rate=BYTES` | answers of a connection come at so many bytes a second |
//! | `reset=BYTES` | a connection is reset after so many bytes of answers |
//! | `refuse=PERCENT` | so many of the connections are reset at once |
//! | `close=PERCENT` | so many are closed when something has come, without an answer |
//! | `corrupt=PERCENT` | so many of the answers have one wrong byte |
//!
//! None happens unless asked for, none to the server's own probes, and none to datagrams. Which
//! connections they hit depends on the seed and on the order in which connections come.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest delay and jitter, in milliseconds.
const MOST_DELAY: u32 = 60_000;

/// One fault, as `--fault` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers come later by this, plus or minus the jitter, in milliseconds.
    Delay {
        /// The delay.
        millis: u32,
        /// The jitter, at most the delay.
        jitter: u32,
    },
    /// Answers come at so many bytes a second.
    Rate(u32),
    /// A connection is reset after so many bytes of answers.
    Reset(u32),
    /// So many of a hundred connections are reset at once.
    Refuse(u32),
    /// So many of a hundred connections are closed without an answer.
    Close(u32),
    /// So many of a hundred answers have a wrong byte.
    Corrupt(u32),
}

/// A text is no fault; says which ones there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be delay=MILLIS or delay=MILLIS~JITTER (0 to {MOST_DELAY}, jitter at most the delay), rate=BYTES or \
     reset=BYTES (1 to 1000000000), or refuse=PERCENT, close=PERCENT or corrupt=PERCENT (0 to 100)"
)]
pub struct BadFault;

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let (kind, value) = text.split_once('=').ok_or(BadFault)?;
        let number = |text: &str, least: u32, most: u32| -> Result<u32, BadFault> {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits);
            number
                .filter(|number| (least..=most).contains(number))
                .ok_or(BadFault)
        };
        let bytes = || number(value, 1, 1_000_000_000);
        let percent = || number(value, 0, 100);
        Ok(match kind {
            "delay" => {
                let (millis, jitter) = value.split_once('~').unwrap_or((value, "0"));
                let millis = number(millis, 0, MOST_DELAY)?;
                let jitter = number(jitter, 0, millis)?;
                Self::Delay { millis, jitter }
            }
            "rate" => Self::Rate(bytes()?),
            "reset" => Self::Reset(bytes()?),
            "refuse" => Self::Refuse(percent()?),
            "close" => Self::Close(percent()?),
            "corrupt" => Self::Corrupt(percent()?),
            _ => return Err(BadFault),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Delay { millis, jitter } => write!(formatter, "delay={millis}~{jitter}"),
            Self::Rate(bytes) => write!(formatter, "rate={bytes}"),
            Self::Reset(bytes) => write!(formatter, "reset={bytes}"),
            Self::Refuse(percent) => write!(formatter, "refuse={percent}"),
            Self::Close(percent) => write!(formatter, "close={percent}"),
            Self::Corrupt(percent) => write!(formatter, "corrupt={percent}"),
        }
    }
}

/// All faults, and the seed that decides which connections they hit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// The faults, one of each kind.
    pub faults: Vec<Fault>,
    /// The same seed hits the same connections, if they come in the same order.
    pub seed: u64,
}

impl Faults {
    /// Returns whether there are any.
    pub fn is_enabled(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Chooses the faults of a connection, by its number.
    pub(crate) fn plan_for_connection(&self, connection: u64) -> FaultPlan {
        let mut random = fastrand::Rng::with_seed(self.seed.wrapping_add(connection));
        let mut plan = FaultPlan {
            refused: false,
            closed: false,
            delay: None,
            rate: None,
            reset_after: None,
            corrupt_percent: 0,
            random: fastrand::Rng::new(),
        };
        for fault in &self.faults {
            match *fault {
                Fault::Delay { millis, jitter } => plan.delay = Some((millis, jitter)),
                Fault::Rate(bytes) => plan.rate = Some(bytes),
                Fault::Reset(bytes) => plan.reset_after = Some(bytes.into()),
                Fault::Refuse(percent) => plan.refused = random.u32(0..100) < percent,
                Fault::Close(percent) => plan.closed = random.u32(0..100) < percent,
                Fault::Corrupt(percent) => plan.corrupt_percent = percent,
            }
        }
        plan.random = random;
        plan
    }
}

/// The faults of one connection.
#[derive(Debug)]
pub(crate) struct FaultPlan {
    /// It is reset at once.
    pub(crate) refused: bool,
    /// It is closed without an answer.
    pub(crate) closed: bool,
    /// Milliseconds by which answers come later, and their jitter.
    delay: Option<(u32, u32)>,
    /// Bytes of answers in a second.
    pub(crate) rate: Option<u32>,
    /// Bytes of answers after which it is reset.
    pub(crate) reset_after: Option<u64>,
    /// Of a hundred answers, so many have a wrong byte.
    corrupt_percent: u32,
    /// Decides about each answer.
    random: fastrand::Rng,
}

impl FaultPlan {
    /// Decides how much later an answer comes.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let Some((millis, jitter)) = self.delay else {
            return Duration::ZERO;
        };
        let jittered = self.random.u32(millis - jitter..=millis + jitter);
        Duration::from_millis(jittered.into())
    }

    /// Decides whether an answer has a wrong byte.
    pub(crate) fn corrupts_next(&mut self) -> bool {
        self.random.u32(0..100) < self.corrupt_percent
    }

    /// Makes one byte wrong, and returns which.
    pub(crate) fn corrupt(&mut self, bytes: &mut [u8]) -> usize {
        let place = self.random.usize(..bytes.len().max(1));
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= self.random.u8(1..);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_printed_back() {
        for text in [
            "delay=100~50",
            "rate=1",
            "reset=1000000000",
            "refuse=0",
            "close=100",
            "corrupt=50",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        assert_eq!(
            "delay=5".parse(),
            Ok(Fault::Delay {
                millis: 5,
                jitter: 0
            })
        );
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for text in [
            "",
            "delay",
            "delay=",
            "delay=60001",
            "delay=5~6",
            "delay=-1",
            "delay=+1",
            "rate=0",
            "reset=1000000001",
            "refuse=101",
            "close=1%",
            "corrupt=x",
            "crash=1",
        ] {
            assert_eq!(text.parse::<Fault>(), Err(BadFault), "{text:?}");
        }
    }

    #[test]
    fn a_seed_decides_which_connections_faults_hit_and_the_share_is_as_configured() {
        let faults = |seed| Faults {
            faults: vec![Fault::Refuse(30), Fault::Close(10)],
            seed,
        };
        let refused = |seed| -> Vec<_> {
            let faults = faults(seed);
            (0..10_000)
                .map(|number| faults.plan_for_connection(number).refused)
                .collect()
        };
        assert_eq!(refused(1), refused(1));
        assert_ne!(refused(1), refused(100_000));
        let share = refused(1).into_iter().filter(|refused| *refused).count();
        assert!((2_800..3_200).contains(&share), "{share} of 10,000");
    }

    #[test]
    fn delays_stay_within_their_jitter_and_a_corrupted_byte_is_always_wrong() {
        let faults = Faults {
            faults: vec![
                Fault::Delay {
                    millis: 100,
                    jitter: 20,
                },
                Fault::Corrupt(100),
            ],
            seed: 7,
        };
        let mut plan = faults.plan_for_connection(0);
        let delays: Vec<_> = (0..1_000).map(|_| plan.next_delay().as_millis()).collect();
        assert_eq!(delays.iter().min(), Some(&80));
        assert_eq!(delays.iter().max(), Some(&120));
        for _ in 0..1_000 {
            assert!(plan.corrupts_next());
            let mut bytes = [7; 16];
            plan.corrupt(&mut bytes);
            assert_eq!(bytes.iter().filter(|byte| **byte != 7).count(), 1);
        }
        plan.corrupt(&mut []);
    }
}
