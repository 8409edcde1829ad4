//! Changes of what is there, while traffic flows.

use gre_common::tables::{Tunnel, TunnelOptions};

use super::{Result, State};

impl State {
    /// Replaces how a tunnel sends and what it believes: all but its ends, its MTU and what was found out about it.
    ///
    /// # Errors
    /// It does not exist.
    pub fn set_tunnel_settings(&mut self, name: &str, settings: &Tunnel) -> Result<()> {
        let there = self.tunnel(name)?;
        let Tunnel { ttl, tos, df, keepalive, .. } = *settings;
        let protected = there.tunnel.options.has(TunnelOptions::IPSEC);
        let options = settings.options.with(TunnelOptions::IPSEC, protected);
        self.set_tunnel(there.id, Tunnel { options, ttl, tos, df, keepalive, ..there.tunnel });
        self.set_binding_options(there.id, options);
        if options.has(TunnelOptions::NO_PMTU_DISCOVERY) {
            // Learned while it was believed.
            self.set_path_mtu(there.id, 0);
        }
        Ok(())
    }
}
