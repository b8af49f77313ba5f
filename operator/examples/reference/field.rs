//! One field: its type, default, bounds and rules.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};

/// Types of Kubernetes that are too big for this reference: their path, their name, and their section in Kubernetes' own
/// reference.
const FOREIGN: [(&str, &str, &str); 3] = [
    ("spec.pod.affinity", "Affinity", "affinity-v1-core"),
    (
        "spec.pod.tolerations",
        "list of Toleration",
        "toleration-v1-core",
    ),
    (
        "status.conditions",
        "list of Condition",
        "condition-v1-meta",
    ),
];

/// Kubernetes' own reference, for the oldest version that is supported.
const KUBERNETES: &str = "https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.33/";

/// Returns a link to the type of a field, if it is one of Kubernetes' own.
pub(super) fn foreign(path: &str) -> Option<String> {
    let (_, name, anchor) = FOREIGN.iter().find(|(foreign, ..)| *foreign == path)?;
    Some(format!("[{name}]({KUBERNETES}#{anchor})"))
}

/// Returns the type of a field, linked to its section or to the reference of Kubernetes.
pub(super) fn type_(path: &str, field: &JSONSchemaProps) -> String {
    if let Some(foreign) = foreign(path) {
        return foreign;
    }
    if let Some(values) = &field.enum_ {
        let values = values.iter().map(|value| code(&value.0));
        return values.collect::<Vec<_>>().join(", ");
    }
    if let Some(JSONSchemaPropsOrArray::Schema(item)) = &field.items {
        return format!("list of {}", type_(&format!("{path}[]"), item));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &field.additional_properties {
        return format!("map to {}", type_(path, value));
    }
    if field.x_kubernetes_int_or_string == Some(true) {
        return "integer or string".to_owned();
    }
    if field.properties.is_some() {
        let letters = path.chars().filter(char::is_ascii_alphanumeric);
        let anchor = letters.collect::<String>().to_lowercase(); // as GitHub makes it of the heading
        return format!("[object](#{anchor})");
    }
    field.type_.clone().unwrap_or_default()
}

/// Returns what a field is when it is left out; that of an object follows from its fields.
pub(super) fn default(parent: &JSONSchemaProps, name: &str, field: &JSONSchemaProps) -> String {
    let mut required = parent.required.iter().flatten();
    if required.any(|required| required == name) {
        return "required".to_owned();
    }
    let default = field.default.as_ref();
    let default = default.filter(|_| field.properties.is_none());
    default.map_or_else(String::new, |default| code(&default.0))
}

fn code(value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(name) => format!("`{name}`"),
        None => format!("`{value}`"),
    }
}

/// The rule of a number or percentage that must not be 0, which the schema cannot state.
const NOT_ZERO: &str = "!(string(self) in ['0', '0%'])";

/// Returns the bounds of a field, as its schema and its rules have them.
pub(super) fn bounds(field: &JSONSchemaProps) -> String {
    let mut rules = field.x_kubernetes_validations.iter().flatten();
    let minimum = if rules.any(|rule| rule.rule == NOT_ZERO) {
        Some(1.0)
    } else {
        field.minimum
    };
    // The pattern of a field that may also be a number has the bounds of its text.
    let is_text = field.x_kubernetes_int_or_string != Some(true);
    let most_characters = field.max_length.filter(|_| is_text);
    let ranges = [
        range(minimum, field.maximum, ""),
        range(field.min_length, most_characters, " characters"),
        range(field.min_items, field.max_items, " entries"),
        range(None, field.max_properties, " entries"),
    ];
    let keys = field.x_kubernetes_list_map_keys.iter().flatten();
    let unique = keys.map(|key| format!("unique `{key}`"));
    let bounds: Vec<String> = ranges.into_iter().flatten().chain(unique).collect();
    bounds.join(", ")
}

fn range<N: std::fmt::Display>(least: Option<N>, most: Option<N>, unit: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, None) => None,
    }
}

/// Returns a list of the patterns and rules of some fields. What goes for a whole object has no name.
pub(super) fn rules<'a>(fields: impl Iterator<Item = (&'a str, &'a JSONSchemaProps)>) -> String {
    let mut lines = Vec::new();
    for (name, field) in fields {
        let subject = match name {
            "" => String::new(),
            name => format!("`{name}`: "),
        };
        if let Some(pattern) = &field.pattern {
            lines.push(format!("- {subject}a string matches `{pattern}`.\n"));
        }
        for rule in field.x_kubernetes_validations.iter().flatten() {
            let message = message(rule);
            lines.push(format!("- {subject}{message}. (`{}`)\n", rule.rule));
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("\nValidation rules:\n\n{}", lines.concat())
}

/// Returns the message of a rule. Of one that is computed, the strings that are joined by `+`, with an ellipsis between.
fn message(rule: &ValidationRule) -> String {
    let Some(expression) = rule.message_expression.as_deref() else {
        return rule.message.clone().unwrap_or_default();
    };
    let parts: Vec<&str> = expression.split('\'').collect();
    let strings = parts.windows(3).step_by(2); // each with what stands before and after its quotes
    let joined = strings.filter_map(|around| match around {
        [before, string, after] if before.ends_with(" + ") || after.starts_with(" + ") => {
            Some(*string)
        }
        _ => None,
    });
    joined.collect::<Vec<_>>().join("…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_must_not_be_0_begins_at_1() {
        let rule = ValidationRule {
            rule: NOT_ZERO.to_owned(),
            ..ValidationRule::default()
        };
        let mut field = JSONSchemaProps {
            minimum: Some(0.0),
            maximum: Some(1000.0),
            ..JSONSchemaProps::default()
        };
        assert_eq!(bounds(&field), "0 to 1000");
        field.x_kubernetes_validations = Some(vec![rule]);
        assert_eq!(bounds(&field), "1 to 1000");
    }

    #[test]
    fn a_computed_message_keeps_only_its_text() {
        let expression = "'the key ' + self.filter(k, k == 'x')[0] + ' is taken; choose another'";
        let rule = ValidationRule {
            message_expression: Some(expression.to_owned()),
            ..ValidationRule::default()
        };
        assert_eq!(message(&rule), "the key … is taken; choose another");
    }
}
