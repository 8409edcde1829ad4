//! What routers say of a tunnel's path is believed for a while (RFC 7588 section 3, RFC 1191 section 6.3).

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use gre_common::tables::{TunnelId, TunnelOptions};

use super::Daemon;
use crate::{
    datapath::Result,
    slowpath::icmp::TooBig,
    state::{State, tunnel::Named},
};

/// How long. Then larger packets are tried again.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// When each tunnel's path was last found to carry less.
#[derive(Debug, Default)]
pub(super) struct Learned(HashMap<TunnelId, Instant>);

impl Learned {
    /// The tunnels whose time is up. One whose time nobody knows, from before this daemon, begins now.
    fn expired(&mut self, tunnels: &[Named], now: Instant) -> Vec<TunnelId> {
        self.0.retain(|id, _| tunnels.iter().any(|it| it.id == *id && it.tunnel.path_mtu > 0));
        let learned = tunnels.iter().filter(|it| it.tunnel.path_mtu > 0);
        let is_expired = |it: &&Named| now >= *self.0.entry(it.id).or_insert(now) + LIFETIME;
        learned.filter(is_expired).map(|it| it.id).collect()
    }
}

impl Daemon<'_> {
    /// Takes over what routers said.
    pub(super) fn learn_path_mtus(&mut self, reports: &[TooBig]) -> Result<()> {
        let mut state = State::open(self.dir)?;
        for it in state.tunnels() {
            if it.tunnel.options.has(TunnelOptions::NO_PMTU_DISCOVERY) {
                continue;
            }
            let of_it = |report: &&TooBig| {
                (report.local, report.remote) == (it.tunnel.local, it.tunnel.remote)
                    && report.key.is_none_or(|key| state.sends_key(it.id, key))
            };
            let Some(mtu) = reports.iter().filter(of_it).map(|report| report.mtu).min() else {
                continue;
            };
            // The resolver has taken into account what is known already.
            if mtu > it.tunnel.next_hop.mtu {
                continue;
            }
            if mtu < it.tunnel.next_hop.mtu {
                eprintln!("xgre: the path of tunnel {} carries {mtu} bytes", it.name);
            }
            state.set_path_mtu(it.id, mtu);
            self.learned.0.insert(it.id, Instant::now());
        }
        Ok(())
    }

    /// Forgets what was said too long ago.
    pub(super) fn forget_path_mtus(&mut self, state: &mut State) {
        for id in self.learned.expired(&state.tunnels(), Instant::now()) {
            state.set_path_mtu(id, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use gre_common::tables::Tunnel;

    use super::*;

    #[test]
    fn what_was_learned_is_forgotten() {
        let tunnel = |id, path_mtu| Named {
            name: format!("t{id}"),
            id: TunnelId(id),
            tunnel: Tunnel { path_mtu, ..Tunnel::EMPTY },
        };
        let tunnels = [tunnel(1, 1000), tunnel(2, 0), tunnel(3, 1000)];
        let begin = Instant::now();
        let mut learned = Learned::default();
        assert_eq!(learned.expired(&tunnels, begin), []);
        learned.0.insert(TunnelId(3), begin + LIFETIME / 2);
        assert_eq!(learned.expired(&tunnels, begin + LIFETIME), [TunnelId(1)]);
        let tunnels = [tunnel(1, 0), tunnel(2, 0), tunnel(3, 1000)];
        assert_eq!(learned.expired(&tunnels, begin + 2 * LIFETIME), [TunnelId(3)]);
        // Another tunnel in the same place is another matter.
        assert_eq!(learned.expired(&[tunnel(1, 700)], begin + 2 * LIFETIME), []);
    }
}
