//! Three real nats-servers on loopback that are one cluster.

use super::nats::{Nats, free_port};
use std::time::{Duration, Instant};

/// The servers; each may be killed and brought back alone.
pub struct NatsCluster {
    pub servers: Vec<Nats>,
}

impl NatsCluster {
    /// Running servers that have elected who decides, or `None` where nats-server is missing and tests may be
    /// skipped.
    pub fn start() -> Option<Self> {
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let routes: Vec<String> = ports.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        let settings = |i: usize| {
            let (port, routes) = (ports[i], routes.join(", "));
            // Like many clusters, behind one address: clients do not learn the addresses of further servers.
            format!(
                "server_name: s{i}\n\
                 cluster {{ name: tests, listen: \"127.0.0.1:{port}\", no_advertise: true, \
                 routes: [{routes}] }}"
            )
        };
        let servers: Option<Vec<Nats>> = (0..3).map(|i| Nats::with(&settings(i))).collect();
        Some(Self { servers: servers? })
    }

    /// All servers, for `--cluster`.
    pub fn url(&self) -> String {
        self.servers.iter().map(Nats::url).collect::<Vec<_>>().join(",")
    }

    /// Number of the server that leads the job's queue, when there is one.
    pub fn leader(&self) -> Option<usize> {
        let leads = |i: usize, nats: &Nats| Some(nats.queue()?["cluster"]["leader"] == format!("s{i}"));
        self.servers.iter().enumerate().position(|(i, nats)| leads(i, nats) == Some(true))
    }

    /// Whether the leader knows that both others have all it has.
    pub fn is_whole(&self) -> bool {
        let Some(queue) = self.leader().and_then(|leader| self.servers[leader].queue()) else { return false };
        let others = queue["cluster"]["replicas"].as_array().map_or(&[][..], Vec::as_slice);
        others.len() == 2 && others.iter().all(|other| other["current"] == true && other["offline"] != true)
    }

    /// Waits for a leader of the job's queue.
    pub fn wait_for_leader(&self) -> usize {
        let since = Instant::now();
        loop {
            if let Some(leader) = self.leader() {
                return leader;
            }
            let seen: Vec<_> =
                self.servers.iter().map(|nats| nats.queue().map(|queue| queue["cluster"].clone())).collect();
            assert!(since.elapsed() < Duration::from_secs(60), "the queue has no leader: {seen:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
