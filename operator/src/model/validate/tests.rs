use super::*;
use crate::api::v1alpha1::{ADMIN_PORT, Faults, Protocol, ProxyMode};
use crate::fixtures::echo_cluster;

#[test]
fn a_listener_without_a_service_port_gets_its_own_port() {
    let spec = validate(&echo_cluster()).unwrap();
    assert_eq!(spec.listeners[0].service_port, 12345);
}

#[test]
fn a_listener_of_a_name_and_a_port_alone_is_one_of_lines_without_a_proxy() {
    let listener = &validate(&echo_cluster()).unwrap().listeners[0];
    let found = (listener.protocol, listener.proxy);
    assert_eq!(found, (Protocol::Line, ProxyMode::Disabled));
}

#[test]
fn a_node_port_is_shared_by_a_listener_of_udp_and_one_of_tcp_and_by_no_others() {
    let mut cluster = echo_cluster();
    let mut second = cluster.spec.listeners[0].clone();
    (second.name, second.protocol) = ("second".into(), Some(Protocol::Udp));
    cluster.spec.listeners.push(second);
    let node_ports = ["echo", "second"].map(|name| (name.to_owned(), 30007));
    cluster.spec.service.node_ports = node_ports.into();
    let ports = validate(&cluster).unwrap().listeners;
    assert!(ports.iter().all(|port| port.node_port == Some(30007)));
    let second = &mut cluster.spec.listeners[1];
    (second.protocol, second.port) = (None, 12346);
    assert_eq!(
        validate(&cluster).unwrap_err().to_string(),
        "spec.service.nodePorts.second is 30007: the port is taken; choose another one"
    );
}

#[test]
fn a_number_out_of_bounds_is_rejected_with_field_value_and_remedy() {
    let mut cluster = echo_cluster();
    cluster.spec.replicas = 1001;
    assert_eq!(
        validate(&cluster).unwrap_err().to_string(),
        "spec.replicas is 1001: choose a number from 0 to 1000"
    );
}

#[test]
fn two_listeners_on_one_port_are_rejected() {
    let mut cluster = echo_cluster();
    let mut second = cluster.spec.listeners[0].clone();
    second.name = "second".into();
    second.service_port = Some(80);
    cluster.spec.listeners.push(second);
    assert_eq!(
        validate(&cluster).unwrap_err().to_string(),
        "spec.listeners[1].port is 12345: the port is taken; choose another one"
    );
}

#[test]
fn a_listener_of_udp_may_share_its_port_with_one_of_tcp() {
    let mut cluster = echo_cluster();
    let mut second = cluster.spec.listeners[0].clone();
    (second.name, second.protocol) = ("second".into(), Some(Protocol::Udp));
    cluster.spec.listeners.push(second.clone());
    assert_eq!(validate(&cluster).unwrap().listeners[1].service_port, 12345);
    second.name = "third".into();
    cluster.spec.listeners.push(second);
    assert_eq!(
        validate(&cluster).unwrap_err().field,
        "spec.listeners[2].port"
    );
}

#[test]
fn a_proxy_before_udp_is_rejected() {
    let mut cluster = echo_cluster();
    let listener = &mut cluster.spec.listeners[0];
    (listener.protocol, listener.proxy) = (Some(Protocol::Udp), Some(ProxyMode::Required));
    assert_eq!(
        validate(&cluster).unwrap_err().to_string(),
        "spec.listeners[0].proxy is Required: protocol Udp has no connections; remove it, or choose another protocol"
    );
}

#[test]
fn a_jitter_beyond_the_delay_is_rejected() {
    let mut cluster = echo_cluster();
    cluster.spec.faults = Some(Faults {
        delay_milliseconds: 10,
        jitter_milliseconds: 11,
        ..Faults::default()
    });
    assert_eq!(
        validate(&cluster).unwrap_err().to_string(),
        "spec.faults.jitterMilliseconds is 11: choose a number from 0 to 10"
    );
}

#[test]
fn a_listener_on_the_admin_port_is_rejected() {
    let mut cluster = echo_cluster();
    cluster.spec.listeners[0].port = ADMIN_PORT;
    assert_eq!(
        validate(&cluster).unwrap_err().field,
        "spec.listeners[0].port"
    );
}

#[test]
fn quantities_of_equal_amount_give_equal_specs() {
    let mut cluster = echo_cluster();
    cluster.spec.resources.limits = [(
        "memory".to_owned(),
        ResourceQuantity::Text("65536Ki".into()),
    )]
    .into();
    assert_eq!(
        validate(&cluster).unwrap(),
        validate(&echo_cluster()).unwrap()
    );
}

#[test]
fn a_quantity_that_cannot_be_read_is_rejected() {
    let mut cluster = echo_cluster();
    cluster.spec.resources.requests =
        [("cpu".to_owned(), ResourceQuantity::Text("much".into()))].into();
    let error = validate(&cluster).unwrap_err();
    assert_eq!(
        (error.field.as_str(), error.value.as_str()),
        ("spec.resources.requests.cpu", "much")
    );
}
