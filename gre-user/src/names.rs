//! What users call tunnels, tenants and ports.

use std::collections::HashMap;

use gre_common::tables::{IfIndex, TenantId, TunnelId, Via};

use crate::state::{Result, State};

/// All names.
pub struct Names {
    tunnels: HashMap<TunnelId, String>,
    tenants: HashMap<TenantId, String>,
    ports: HashMap<IfIndex, String>,
}

impl Names {
    /// Those of a state.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn of(state: &State) -> Result<Self> {
        Ok(Self {
            tunnels: state.tunnels().into_iter().map(|it| (it.id, it.name)).collect(),
            tenants: state.tenants().into_iter().map(|it| (it.id, it.name)).collect(),
            ports: state.ports()?.into_iter().map(|it| (it.ifindex(), it.name)).collect(),
        })
    }

    /// A tenant's; its number where it has come since.
    pub fn tenant(&self, id: TenantId) -> String {
        self.tenants.get(&id).cloned().unwrap_or_else(|| format!("#{}", id.0))
    }

    /// A tunnel's; its number where it has come since.
    pub fn tunnel(&self, id: TunnelId) -> String {
        self.tunnels.get(&id).cloned().unwrap_or_else(|| format!("#{}", id.0))
    }

    /// A port's, by its device.
    pub fn port(&self, ifindex: IfIndex) -> Option<&str> {
        self.ports.get(&ifindex).map(String::as_str)
    }

    /// "behind tunnel to-b", "at port tap7"
    pub fn place(&self, via: Via) -> String {
        match (via.to_tunnel(), via.to_port()) {
            (Some(tunnel), _) => format!("behind tunnel {}", self.tunnel(tunnel)),
            (_, Some(port)) => {
                let name = self.port(port).map_or_else(|| format!("#{}", port.0), str::to_owned);
                format!("at port {name}")
            }
            _ => "not known".to_owned(),
        }
    }
}
