//! Every field that the operator owns, changed and removed by somebody else.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::core::Status;
use operator::labels::GENERATION_ANNOTATION;
use serde_json::{Value, json};

use crate::namespace::Namespace;
use crate::owned_fields::{Path, altered, owned_fields};
use crate::stranger::{Objects, json as json_of, objects};
use crate::wait;

/// Fields whose every other value the API server refuses.
const UNALTERABLE: [(&str, &str); 5] = [
    (
        "Deployment hello: spec.selector",
        "a selector cannot be changed",
    ),
    (
        "Deployment hello: spec.template.metadata.labels",
        "they must fit the selector",
    ),
    (
        "Deployment hello: spec.strategy.type",
        "another type takes no rollingUpdate; see replacement.rs",
    ),
    (
        "Service hello-pods: spec.clusterIP",
        "an address cannot be changed; see replacement.rs",
    ),
    (
        "Service hello-pods: spec.type",
        "only this one has no address; see replacement.rs",
    ),
];

#[tokio::test]
async fn every_owned_field_that_somebody_changes_comes_back_and_unowned_fields_stay() {
    let namespace = Namespace::shared("drift").await;
    let spec = json!({"replicas": 0, "threads": 2, "listeners": [{"name": "echo", "port": 12345}]});
    namespace.apply_ready("hello", spec).await;
    let (deployments, services) = (
        objects::<Deployment>(&namespace),
        objects::<Service>(&namespace),
    );
    let not_ours = [
        ("spec", "minReadySeconds", json!(1)),
        ("spec", "paused", json!(true)),
    ];
    let affinity = [("spec", "sessionAffinity", json!("ClientIP"))];
    tokio::join!(
        disturb(&deployments, "hello", &not_ours, 55),
        disturb(&services, "hello", &affinity, 14),
        disturb(&services, "hello-pods", &affinity, 14),
    );
}

#[tokio::test]
async fn a_child_that_claims_to_be_of_a_newer_generation_is_mended() {
    let namespace = Namespace::shared("generation").await;
    namespace.apply_ready("hello", json!({"replicas": 0})).await;
    let deployments = objects::<Deployment>(&namespace);
    let forge = |deployment: &mut Value| {
        deployment["metadata"]["annotations"][GENERATION_ANNOTATION] = json!("999");
        deployment["spec"]["replicas"] = json!(1);
    };
    deployments.edit("hello", forge).await.unwrap();
    let is_mended = |deployment: &Deployment| {
        deployment.annotations()[GENERATION_ANNOTATION] == "1"
            && deployment.spec.as_ref().and_then(|spec| spec.replicas) == Some(0)
    };
    wait::until(
        &namespace.api(),
        "hello",
        "of generation 1 again",
        is_mended,
    )
    .await;
}

/// Changes and removes each owned field of an object, at least `minimum` of them, while it has fields of somebody else.
async fn disturb(objects: &Objects, name: &str, others: &[(&str, &str, Value)], minimum: usize) {
    let with_others = |object: &mut Value| {
        object["metadata"]["labels"]["example.com/label"] = json!("mine");
        object["metadata"]["annotations"]["example.com/annotation"] = json!("mine");
        for (part, field, value) in others {
            object[part][field] = value.clone();
        }
    };
    let original = objects.edit(name, with_others).await.unwrap();
    let fields = owned_fields(&original);
    assert!(
        fields.len() >= minimum,
        "{} {name} has only {} owned fields",
        objects.kind,
        fields.len()
    );
    // A changed list key leaves two elements; a changed owner reference may let Kubernetes delete the object. Both end
    // in a new object or a new spec, where fields of others do not stay.
    let (last, first): (Vec<Path>, Vec<Path>) = fields.into_iter().partition(renews_the_object);
    let mut edits = 0;
    for path in &first {
        edits += disturb_field(objects, name, path, &original).await;
    }
    let mut expected = objects.get(name).await;
    let found = expected.clone();
    with_others(&mut expected);
    assert_eq!(found, expected, "fields of somebody else have changed");
    for path in &last {
        edits += disturb_field(objects, name, path, &original).await;
    }
    println!(
        "{} {name}: {} edits of {} fields",
        objects.kind,
        edits,
        first.len() + last.len()
    );
}

fn renews_the_object(path: &Path) -> bool {
    path.is_list_key() || path.to_string().starts_with("metadata.ownerReferences")
}

/// Changes one field and removes it, and waits each time until it is back. Returns how many edits that were. A removal is
/// possible where the API server does not ask for the field.
async fn disturb_field(objects: &Objects, name: &str, path: &Path, original: &Value) -> usize {
    let value = path
        .get(original)
        .unwrap_or_else(|| panic!("{path} is owned and not there"));
    let other = altered(value);
    let alter = |object: &mut Value| path.set(object, other.clone());
    let remove = |object: &mut Value| path.remove(object);
    let mut edits = 0;
    if !path.is_element() {
        match disturb_once(objects, name, path, value, alter).await {
            Ok(changed) => edits += usize::from(changed),
            Err(refusal) => {
                let field = format!("{} {name}: {path}", objects.kind);
                let known = UNALTERABLE
                    .iter()
                    .any(|(known, _)| field.starts_with(known));
                assert!(known, "{field} cannot be made {other}: {}", refusal.message);
            }
        }
    }
    edits
        + usize::from(
            disturb_once(objects, name, path, value, remove)
                .await
                .unwrap_or_default(),
        )
}

/// Makes an edit and waits until the field is back. Returns whether the edit changed anything: the API server's default
/// for a field may be what the operator applies.
async fn disturb_once(
    objects: &Objects,
    name: &str,
    path: &Path,
    value: &Value,
    edit: impl Fn(&mut Value),
) -> Result<bool, Status> {
    let edited = objects.edit(name, edit).await?;
    if path.get(&edited) == Some(value) {
        return Ok(false);
    }
    let is_back = |object: &_| path.get(&json_of(object)) == Some(value);
    wait::until(
        &objects.api,
        name,
        &format!("{path} is {value} again"),
        is_back,
    )
    .await;
    Ok(true)
}
