//! The API of group `echo-operator.dev`: the types that users write and read.

pub mod v1alpha1;
