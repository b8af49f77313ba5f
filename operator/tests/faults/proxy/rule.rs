//! Which request fails, and how.

use std::time::Duration;

use tokio::sync::watch;

use super::Call;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// It is sent to the API server after this time.
    Delay(Duration),
    /// Its connection is closed before it is sent to the API server.
    Drop,
    /// Its connection is closed after the API server's answer.
    LoseReply,
    /// Half of the answer's first part arrives, and then the connection is closed.
    Truncate,
    /// The headers of the answer arrive, and then nothing more.
    Silence,
    /// It is answered with an error, and not sent to the API server.
    Answer { code: u16, reason: &'static str },
    /// It is not answered, nor sent to the API server.
    Hang,
    /// The operator is killed before it is sent to the API server.
    CrashBefore,
    /// The operator is killed after the API server's answer.
    CrashAfter,
}

/// How often a rule has been applied.
pub(crate) struct Armed(watch::Receiver<usize>);

impl Armed {
    /// Returns when the rule has been applied `times`.
    pub(crate) async fn applied(&mut self, times: usize) {
        let applied = self.0.wait_for(|applied| *applied >= times).await;
        drop(applied.expect("the proxy has ended"));
    }

    /// Whether the rule has been applied.
    pub(crate) fn is_applied(&self) -> bool {
        *self.0.borrow() > 0
    }
}

type Matches = Box<dyn Fn(&Call) -> bool + Send>;

/// The rules of a proxy, in the order in which they were added.
#[derive(Default)]
pub(super) struct Rules(Vec<Rule>);

struct Rule {
    matches: Matches,
    skipped: usize,
    times: usize,
    fault: Fault,
    applied: watch::Sender<usize>,
}

impl Rules {
    pub(super) fn add(
        &mut self,
        matches: Matches,
        skipped: usize,
        times: usize,
        fault: Fault,
    ) -> Armed {
        let (applied, armed) = watch::channel(0);
        self.0.push(Rule {
            matches,
            skipped,
            times,
            fault,
            applied,
        });
        Armed(armed)
    }

    /// Returns the fault of a request. A rule whose handle was dropped, or that was applied as often as it should be, is forgotten.
    pub(super) fn fault_for(&mut self, call: &Call) -> Option<Fault> {
        let is_left = |rule: &Rule| rule.times > 0 && rule.applied.receiver_count() > 0;
        self.0.retain(is_left);
        let rule = self.0.iter_mut().find(|rule| (rule.matches)(call))?;
        if rule.skipped > 0 {
            rule.skipped -= 1;
            return None;
        }
        rule.times -= 1;
        rule.applied.send_modify(|applied| *applied += 1);
        Some(rule.fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verb;
    use super::*;

    #[test]
    fn a_rule_skips_requests_and_is_applied_a_number_of_times() {
        let call = |name: &str| Call {
            verb: Verb::Create,
            resource: "services".to_owned(),
            name: name.to_owned(),
        };
        let mut rules = Rules::default();
        let armed = rules.add(Box::new(|call| call.name == "a"), 1, 2, Fault::Drop);
        let names = ["a", "b", "a", "a", "a"];
        let faults = names.map(|name| rules.fault_for(&call(name)));
        let fault = Some(Fault::Drop);
        assert_eq!(faults, [None, None, fault.clone(), fault, None]);
        assert!(armed.is_applied());
    }
}
