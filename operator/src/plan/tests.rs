use super::*;
use crate::api::v1alpha1::{ADMIN_PORT, Faults, Protocol, ProxyMode};
use crate::fixtures::echo_cluster;

#[test]
fn a_listener_without_a_service_port_gets_its_own_port() {
    let plan = plan(&echo_cluster()).unwrap();
    assert_eq!(plan.listeners[0].service_port, 12345);
}

#[test]
fn a_number_out_of_bounds_is_refused_with_field_value_and_remedy() {
    let mut cluster = echo_cluster();
    cluster.spec.replicas = 1001;
    assert_eq!(
        plan(&cluster).unwrap_err().to_string(),
        "spec.replicas is 1001: choose a number from 0 to 1000"
    );
}

#[test]
fn two_listeners_on_one_port_are_refused() {
    let mut cluster = echo_cluster();
    let mut second = cluster.spec.listeners[0].clone();
    second.name = "second".into();
    second.service_port = Some(80);
    cluster.spec.listeners.push(second);
    assert_eq!(
        plan(&cluster).unwrap_err().to_string(),
        "spec.listeners[1].port is 12345: the port is taken; choose another one"
    );
}

#[test]
fn a_listener_of_udp_may_share_its_port_with_one_of_tcp() {
    let mut cluster = echo_cluster();
    let mut second = cluster.spec.listeners[0].clone();
    (second.name, second.protocol) = ("second".into(), Protocol::Udp);
    cluster.spec.listeners.push(second.clone());
    assert_eq!(plan(&cluster).unwrap().listeners[1].service_port, 12345);
    second.name = "third".into();
    cluster.spec.listeners.push(second);
    assert_eq!(plan(&cluster).unwrap_err().field, "spec.listeners[2].port");
}

#[test]
fn a_proxy_before_udp_is_refused() {
    let mut cluster = echo_cluster();
    let listener = &mut cluster.spec.listeners[0];
    (listener.protocol, listener.proxy) = (Protocol::Udp, ProxyMode::Required);
    assert_eq!(
        plan(&cluster).unwrap_err().to_string(),
        "spec.listeners[0].proxy is Required: protocol Udp has no connections; remove it, or choose another protocol"
    );
}

#[test]
fn a_jitter_beyond_the_delay_is_refused() {
    let mut cluster = echo_cluster();
    cluster.spec.faults = Some(Faults {
        delay_milliseconds: 10,
        jitter_milliseconds: 11,
        ..Faults::default()
    });
    assert_eq!(
        plan(&cluster).unwrap_err().to_string(),
        "spec.faults.jitterMilliseconds is 11: choose a number from 0 to 10"
    );
}

#[test]
fn a_listener_on_the_admin_port_is_refused() {
    let mut cluster = echo_cluster();
    cluster.spec.listeners[0].port = ADMIN_PORT;
    assert_eq!(plan(&cluster).unwrap_err().field, "spec.listeners[0].port");
}

#[test]
fn quantities_of_equal_amount_give_equal_plans() {
    let mut cluster = echo_cluster();
    cluster.spec.resources.limits = [(
        "memory".to_owned(),
        ResourceQuantity::Text("65536Ki".into()),
    )]
    .into();
    assert_eq!(plan(&cluster).unwrap(), plan(&echo_cluster()).unwrap());
}

#[test]
fn a_quantity_that_cannot_be_read_is_refused() {
    let mut cluster = echo_cluster();
    cluster.spec.resources.requests =
        [("cpu".to_owned(), ResourceQuantity::Text("much".into()))].into();
    let error = plan(&cluster).unwrap_err();
    assert_eq!(
        (error.field.as_str(), error.value.as_str()),
        ("spec.resources.requests.cpu", "much")
    );
}
