//! Validation rules of labels and annotations.

use kube::core::{Message, Rule};

/// Keys that are reserved for the operator or for Kubernetes, among them those that would relax the AppArmor profile of the container.
pub(in super::super) fn free_keys() -> Rule {
    const TAKEN: &str = "k.startsWith('app.kubernetes.io/') || k.startsWith('kubernetes.io/') || \
                         k.startsWith('echo-operator.dev/') || k.startsWith('container.apparmor.') || k == 'pod-template-hash'";
    Rule::new(format!("!self.exists(k, {TAKEN})")).message(Message::Expression(format!(
        "'the key ' + self.filter(k, {TAKEN})[0] + ' is reserved for the operator or for Kubernetes; choose another key'"
    )))
}

/// The grammar of keys.
pub(in super::super) fn label_keys() -> Rule {
    const BAD: &str = "format.qualifiedName().validate(k).hasValue()";
    Rule::new(format!("!self.exists(k, {BAD})")).message(Message::Expression(format!(
        "'the key ' + self.filter(k, {BAD})[0] + ' is not a valid label or annotation key; write it as example.com/name, with \
         at most 63 characters of A-Z, a-z, 0-9, -, _ and . in the name'"
    )))
}

/// The grammar of label values.
pub(in super::super) fn label_values() -> Rule {
    const BAD: &str = "format.labelValue().validate(self[k]).hasValue()";
    Rule::new(format!("!self.exists(k, {BAD})")).message(Message::Expression(format!(
        "'the value of ' + self.filter(k, {BAD})[0] + ' is not a valid label value; use at most 63 characters of A-Z, a-z, \
         0-9, -, _ and ., and begin and end with a letter or digit'"
    )))
}

/// The images hold a program for Linux. The label is in the pod template anyway.
pub(in super::super) fn runs_on_linux() -> Rule {
    Rule::new("!('kubernetes.io/os' in self) || self['kubernetes.io/os'] == 'linux'").message(Message::Expression(
        "'kubernetes.io/os is ' + self['kubernetes.io/os'] + ', but the echo server runs on linux only; set it to linux, or remove it'"
            .to_owned(),
    ))
}
