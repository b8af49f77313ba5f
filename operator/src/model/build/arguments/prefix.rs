//! What a prefix of `Line` may refer to, and how it is written as an argument of the container.
//!
//! The kubelet expands arguments: `$(NAME)` is replaced by a variable of the container if there is one of that name, and `$$` stands for
//! `$`; every other `$` stays (`third_party/forked/golang/expansion` in Kubernetes). A container has more variables than those of its
//! spec, such as `KUBERNETES_SERVICE_HOST` and those of each Service in the namespace, so the same prefix would expand differently from one
//! namespace to another. Therefore everything but references to the pod's variables is escaped.

/// The variables that a prefix may refer to. The container has them if the prefix refers to one: see `environment`.
const VARIABLES: [&str; 3] = ["POD_NAME", "POD_NAMESPACE", "NODE_NAME"];

/// Writes a prefix as an argument. What the kubelet makes of it is what it would make of the prefix if there were no variables but
/// [`VARIABLES`].
pub(super) fn escape(prefix: &str) -> String {
    let escaped = parts(prefix).into_iter().map(|part| match part {
        Part::Text(text) => text.replace('$', "$$"),
        Part::Reference(reference) => reference.to_owned(),
    });
    escaped.collect()
}

/// Whether a prefix refers to a variable, which the container must have then.
pub(in super::super) fn has_reference(prefix: &str) -> bool {
    let mut parts = parts(prefix).into_iter();
    parts.any(|part| matches!(part, Part::Reference(_)))
}

/// A part of a prefix.
enum Part<'a> {
    /// Bytes that answers begin with as they are.
    Text(&'a str),
    /// A reference to one of [`VARIABLES`], such as `$(POD_NAME)`.
    Reference(&'a str),
}

/// Reads a prefix by the kubelet's rules. A reference ends at the first `)`, so none is nested; one that does not end is text.
fn parts(prefix: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = prefix;
    while let Some((before, after)) = rest.split_once('$') {
        parts.push(Part::Text(before));
        let (_, from_here) = rest.split_at(before.len());
        if let Some(beyond) = after.strip_prefix('$') {
            parts.push(Part::Text("$"));
            rest = beyond;
        } else if let Some(named) = after.strip_prefix('(')
            && let Some((name, beyond)) = named.split_once(')')
        {
            let (reference, _) = from_here.split_at(from_here.len() - beyond.len());
            parts.push(if VARIABLES.contains(&name) {
                Part::Reference(reference)
            } else {
                Part::Text(reference)
            });
            rest = beyond;
        } else {
            parts.push(Part::Text("$"));
            rest = after;
        }
    }
    parts.push(Part::Text(rest));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variables that a container may have besides: of the API server's Service, of its image, and of a Service `pod-name`.
    const OTHERS: [(&str, &str); 3] = [
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("HOME", "/"),
        ("POD_NAME_SERVICE_HOST", "10.96.0.2"),
    ];

    /// Values that hold what would be expanded if it were read twice.
    const OWN: [(&str, &str); 3] = [
        ("POD_NAME", "hello-0"),
        ("POD_NAMESPACE", "$(HOME)"),
        ("NODE_NAME", "$$"),
    ];

    /// Expands a text as the kubelet does, byte by byte as in Kubernetes's `expand.go`.
    fn expand(text: &str, variables: &[(&str, &str)]) -> String {
        let input = text.as_bytes();
        let mut output = Vec::new();
        let mut cursor = 0;
        while cursor < input.len() {
            let rest = &input[cursor + 1..];
            let end = rest.iter().position(|byte| *byte == b')');
            match (input[cursor], rest.first(), end) {
                (b'$', Some(b'$'), _) => {
                    output.push(b'$');
                    cursor += 2;
                }
                (b'$', Some(b'('), Some(end)) => {
                    let name = str::from_utf8(&rest[1..end]).unwrap();
                    let found = variables.iter().find(|(known, _)| *known == name);
                    let unknown = format!("$({name})");
                    let value = found.map_or(unknown.as_str(), |(_, value)| value);
                    output.extend(value.bytes());
                    cursor += end + 2;
                }
                (byte, _, _) => {
                    output.push(byte);
                    cursor += 1;
                }
            }
        }
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_prefix_is_expanded_as_if_there_were_no_variables_but_those_of_the_pod() {
        let pieces = [
            "$",
            "$$",
            "(",
            ")",
            "$(",
            "POD_NAME",
            "POD_NAMESPACE",
            "NODE_NAME",
            "$(POD_NAME)",
            "$(NODE_NAME)",
            "KUBERNETES_SERVICE_HOST",
            "$(HOME)",
            "$(POD_NAME_SERVICE_HOST)",
            "\u{e9}",
            " on ",
        ];
        let mut random = fastrand::Rng::with_seed(1);
        let (mut expanded, mut literal) = (0, 0);
        for _ in 0..20_000 {
            let count = random.usize(0..9);
            let pieces = (0..count).map(|_| *random.choice(&pieces).unwrap());
            let prefix: String = pieces.collect();
            let all = [&OWN[..], &OTHERS].concat();
            let expected = expand(&prefix, &OWN);
            assert_eq!(expand(&escape(&prefix), &all), expected, "{prefix}");
            let is_expanded = expected != expand(&prefix, &[]);
            assert_eq!(has_reference(&prefix), is_expanded, "{prefix}");
            expanded += usize::from(is_expanded);
            literal += usize::from(expected != expand(&prefix, &all));
        }
        assert!(expanded > 1000 && literal > 1000, "{expanded} {literal}");
    }

    #[test]
    fn only_references_to_the_pods_variables_stay_references() {
        for (prefix, escaped) in [
            ("", ""),
            ("Server received: ", "Server received: "),
            (
                "$(POD_NAME) on $(NODE_NAME): ",
                "$(POD_NAME) on $(NODE_NAME): ",
            ),
            ("$(POD_NAMESPACE)$(POD_NAME)", "$(POD_NAMESPACE)$(POD_NAME)"),
            ("$(HOME) $5 $$", "$$(HOME) $$5 $$"),
            ("$$(POD_NAME)", "$$(POD_NAME)"),
            ("$$$(POD_NAME)", "$$$(POD_NAME)"),
            ("$$$$(POD_NAME)", "$$$$(POD_NAME)"),
            ("$(a$(POD_NAME))", "$$(a$$(POD_NAME))"),
            ("$(a$$(POD_NAME)", "$$(a$$$$(POD_NAME)"),
            ("$(POD_NAME", "$$(POD_NAME"),
            ("$((POD_NAME)", "$$((POD_NAME)"),
            ("$( POD_NAME) $(pod_name)", "$$( POD_NAME) $$(pod_name)"),
            ("${POD_NAME} $POD_NAME $", "$${POD_NAME} $$POD_NAME $$"),
        ] {
            assert_eq!(escape(prefix), escaped, "{prefix}");
        }
    }
}
