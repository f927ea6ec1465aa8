//! Three servers as the Helm chart of NATS makes them by default: they keep each other's addresses from their
//! clients.

use super::job;
use crate::support::{nats::Nats, process};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// The servers, and the port at which the first one tells about itself.
fn servers() -> Option<([Nats; 3], u16)> {
    let listeners: Vec<_> = (0..4).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    drop(listeners);
    let routes: Vec<String> = ports[..3].iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
    let start = |index: usize| {
        let (port, routes) = (ports[index], routes.join(", "));
        let monitor = if index == 0 { format!("http: 127.0.0.1:{}", ports[3]) } else { String::new() };
        Nats::with(&format!(
            "server_name: nats-{index}\n{monitor}\n\
             cluster {{ name: nats, host: 127.0.0.1, port: {port}, no_advertise: true, routes: [{routes}] }}"
        ))
    };
    Some(([start(0)?, start(1)?, start(2)?], ports[3]))
}

/// Answer of the server's monitor.
fn monitor(port: u16, path: &str) -> Value {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(socket, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn a_queue_has_three_copies_even_where_servers_hide_each_other() {
    let Some((servers, port)) = servers() else { return };
    // They have elected who decides.
    process::wait_until(|| monitor(port, "/jsz")["meta_cluster"]["leader"].is_string());
    let job = job();
    let mut coordinator = process::coordinator(&job, &servers[0]);
    coordinator.wait_for("no worker is there");
    let seen = monitor(port, "/jsz?streams=true&config=true");
    assert_eq!(seen["account_details"][0]["stream_detail"][0]["config"]["num_replicas"], 3, "{seen}");
}
