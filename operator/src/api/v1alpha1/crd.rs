//! The CustomResourceDefinition as it is installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use super::EchoCluster;

/// Builds the CustomResourceDefinition whose schema gives new EchoClusters `echo_server_image`.
///
/// What the derive gets wrong is set straight here: it marks every optional field as nullable, while the API
/// conventions know absent fields only, and it keeps the line breaks of doc comments, which `kubectl explain` breaks again.
///
/// # Errors
/// [`SchemaShapeError`] when the derived schema has no `spec.image`; no retry helps.
pub fn custom_resource_definition(
    echo_server_image: &str,
) -> Result<CustomResourceDefinition, SchemaShapeError> {
    let mut crd = EchoCluster::crd();
    let schema = crd
        .spec
        .versions
        .iter_mut()
        .find_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut())
        .ok_or(SchemaShapeError)?;
    straighten(schema);
    let image = property(schema, "spec")
        .and_then(|spec| property(spec, "image"))
        .ok_or(SchemaShapeError)?;
    image.default = Some(
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON(
            echo_server_image.into(),
        ),
    );
    Ok(crd)
}

/// The derived schema lacks a field that must be in it.
#[derive(Debug, thiserror::Error)]
#[error("failed to find spec.image in the schema of EchoCluster")]
pub struct SchemaShapeError;

fn property<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}

/// Removes `nullable`, and the line breaks of the source text from descriptions, everywhere below `schema`.
fn straighten(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(description) = schema.description.as_mut() {
        *description = description.replace('\n', " ");
    }
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        straighten(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        straighten(items);
    }
}
