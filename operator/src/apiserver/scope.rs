//! Where the operator reads and writes: in all namespaces, or in each of some. A Role permits no list of all namespaces, so that each of
//! them has lists and watches of its own.
#![expect(clippy::disallowed_types, reason = "lists and watches")]

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};

/// The namespaces whose EchoClusters are reconciled: all, unless there are some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(BTreeSet<String>);

/// What one list and watch covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The objects of all namespaces.
    Cluster,
    /// Those of this namespace.
    Namespace(Arc<str>),
}

/// One value for each scope, such as the caches.
#[derive(Clone, Debug)]
pub struct ByScope<T>(Vec<(Scope, T)>);

impl Namespaces {
    /// Returns these namespaces; all, if there is none.
    pub fn of(names: Vec<String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Returns the scopes in which each kind is listed and watched. There is at least one.
    pub fn scopes(&self) -> Vec<Scope> {
        if self.0.is_empty() {
            return vec![Scope::Cluster];
        }
        let scope = |name: &String| Scope::Namespace(name.as_str().into());
        self.0.iter().map(scope).collect()
    }
}

impl Scope {
    /// Whether the objects of a namespace are among those of the scope.
    pub fn contains(&self, namespace: &str) -> bool {
        self.namespace().is_none_or(|own| own == namespace)
    }

    /// Returns the namespace, if it is one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster => None,
            Self::Namespace(name) => Some(name),
        }
    }

    /// Returns the API of a kind in the scope.
    pub(crate) fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(name) => Api::namespaced(client.clone(), name),
        }
    }
}

/// As a message names it after what is in it: ` in namespace "a"`; nothing for the cluster.
impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => Ok(()),
            Self::Namespace(name) => write!(formatter, " in namespace \"{name}\""),
        }
    }
}

impl<T> ByScope<T> {
    /// Makes a value for each scope.
    pub fn new(scopes: &[Scope], value: impl FnMut(&Scope) -> T) -> Self {
        let values = scopes.iter().map(value);
        Self(scopes.iter().cloned().zip(values).collect())
    }

    /// Returns the value of the scope that a namespace is in; nothing for a namespace that is not watched.
    pub fn of(&self, namespace: &str) -> Option<&T> {
        let mut values = self.0.iter();
        let found = values.find(|(scope, _)| scope.contains(namespace));
        found.map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_namespace_is_one_scope_and_without_any_all_are_one() {
        assert_eq!(Namespaces::of(Vec::new()).scopes(), [Scope::Cluster]);
        let names = ["b", "a", "b"].map(str::to_owned).to_vec();
        let scopes = Namespaces::of(names).scopes();
        let scope = |name: &str| Scope::Namespace(name.into());
        assert_eq!(scopes, [scope("a"), scope("b")]);
    }

    #[test]
    fn a_namespace_that_is_not_watched_has_no_value() {
        let scope = Scope::Namespace("a".into());
        let one = ByScope::new(std::slice::from_ref(&scope), Scope::clone);
        let all = ByScope::new(&[Scope::Cluster], Scope::clone);
        let of = |namespace| (one.of(namespace), all.of(namespace));
        let expected = [
            (Some(&scope), Some(&Scope::Cluster)),
            (None, Some(&Scope::Cluster)),
        ];
        assert_eq!(["a", "b"].map(of), expected);
    }
}
