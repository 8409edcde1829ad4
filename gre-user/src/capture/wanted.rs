//! Which packets are wanted.

use std::net::IpAddr;

use anyhow::bail;
use gre_common::tables::{Hook, Sight, TenantId, TunnelId};

use super::sample::Sample;
use crate::{
    datapath::load::Capture,
    state::State,
    trace::{frame::Frame, outer},
};

/// Which packets are wanted.
#[derive(Debug)]
pub struct Wanted {
    /// What programs ask for. Of dropped packets they do not know the tunnel.
    pub(super) programs: Capture,
    tunnel: Option<Tunnel>,
}

/// What tells a tunnel's packets where programs do not.
#[derive(Debug)]
struct Tunnel {
    local: IpAddr,
    remote: IpAddr,
    /// Who sends through it.
    tenants: Vec<TenantId>,
}

/// What the user asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// A tenant's or a tunnel's.
    pub name: Option<&'a str>,
    /// Which of them all.
    pub sight: Sight,
    /// Bytes of each packet.
    pub bytes: u32,
    /// Of how many packets one.
    pub one_in: u32,
}

impl Wanted {
    /// Finds out what the names mean.
    ///
    /// # Errors
    /// There is neither a tenant nor a tunnel of this name, or there are both.
    pub fn find(state: &State, asked: Asked<'_>) -> anyhow::Result<Self> {
        let Asked { name, sight, bytes, one_in } = asked;
        let everything =
            Capture { bytes, one_in, sight, tenant: TenantId::NONE, tunnel: TunnelId::NONE };
        let Some(name) = name else { return Ok(Self { programs: everything, tunnel: None }) };
        match (state.find_tenant(name)?, state.find_tunnel(name)?) {
            (Some(tenant), None) => {
                Ok(Self { programs: Capture { tenant: tenant.id, ..everything }, tunnel: None })
            }
            (None, Some((id, tunnel))) => {
                let uses =
                    |it: &crate::state::tenant::Named| state.tunnels_of(&it.tenant).contains(&id);
                let tenants = state.tenants().into_iter().filter(uses).map(|it| it.id).collect();
                let (local, remote) = (tunnel.local.into(), tunnel.remote.into());
                let tunnel = Some(Tunnel { local, remote, tenants });
                Ok(Self { programs: Capture { tunnel: id, ..everything }, tunnel })
            }
            (Some(_), Some(_)) => bail!(
                "there are a tenant and a tunnel {name}; capture all, and filter by the comment, or name one of them otherwise"
            ),
            (None, None) => bail!(
                "there is neither a tenant nor a tunnel {name}; `xgre tenant list` and `xgre tunnel list` show those there are"
            ),
        }
    }

    /// Whether a packet that programs have shown is among them.
    pub(super) fn wants(&self, sample: &Sample) -> bool {
        match &self.tunnel {
            Some(tunnel) if sample.tunnel.is_none() => tunnel.is_of(sample),
            _ => true,
        }
    }
}

impl Tunnel {
    fn is_of(&self, sample: &Sample) -> bool {
        if matches!(sample.hook, Hook::PORT_TC | Hook::PORT_XDP | Hook::FLOOD_TC) {
            return sample.tenant.is_some_and(|id| self.tenants.contains(&id));
        }
        let frame = Frame::cut(sample.frame.clone(), sample.len);
        outer::ends(&frame) == Some((self.local, self.remote))
    }
}
