//! An interface, looked at closely.

use aya::programs::{ProgramError, ProgramInfo, SchedClassifier, TcAttachType, loaded_programs};
use gre_common::tables::{Hook, IfIndex};

use super::kernel::setting;
use crate::{
    doctor::facts::{Device, Program},
    netlink::{self, Netlink, ethtool, link::Link},
    state::StateDir,
};

/// What tells of interfaces.
pub struct Devices<'a> {
    /// The kernel's stack.
    pub netlink: &'a Netlink,
    /// Ids of the state's programs.
    ours: Vec<u32>,
}

impl<'a> Devices<'a> {
    /// With the programs of a state.
    pub fn new(dir: &StateDir, netlink: &'a Netlink) -> Self {
        let id =
            |hook: Hook| ProgramInfo::from_pin(dir.program(hook.name())).ok().map(|it| it.id());
        Self { netlink, ours: Hook::ALL.into_iter().filter_map(id).collect() }
    }

    /// The interface of this name.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn by_name(&self, name: &str) -> Result<Option<Device>, netlink::Error> {
        match self.netlink.link(name).await? {
            Some(link) => self.look_at(link).await.map(Some),
            None => Ok(None),
        }
    }

    /// The interface of this index.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn by_index(&self, ifindex: IfIndex) -> Result<Option<Device>, netlink::Error> {
        match self.netlink.link_by_index(ifindex).await? {
            Some(link) => self.look_at(link).await.map(Some),
            None => Ok(None),
        }
    }

    async fn look_at(&self, link: Link) -> Result<Device, netlink::Error> {
        let name = link.name.as_str();
        Ok(Device {
            xdp: self.netlink.xdp_features(&link).await?,
            offloads: ethtool::offloads(name),
            queues: ethtool::receive_queues(name),
            is_strict: is_strict(name),
            xdp_program: link.xdp_program.map(|id| self.program(id, program_name(id))),
            tcx: self.tcx(name),
            filters: self.netlink.ingress_filters(link.ifindex).await?,
            link,
        })
    }

    fn tcx(&self, name: &str) -> Option<Vec<Program>> {
        let found: Result<_, ProgramError> =
            SchedClassifier::query_tcx(name, TcAttachType::Ingress);
        let (_, programs) = found.ok()?;
        let of_info = |info: &ProgramInfo| {
            self.program(info.id(), info.name_as_str().unwrap_or_default().to_owned())
        };
        Some(programs.iter().map(of_info).collect())
    }

    fn program(&self, id: u32, name: String) -> Program {
        Program { id, name, is_ours: self.ours.contains(&id) }
    }
}

fn program_name(id: u32) -> String {
    let program = loaded_programs().flatten().find(|program| program.id() == id);
    let name = program.as_ref().and_then(|program| program.name_as_str().map(str::to_owned));
    name.unwrap_or_default()
}

/// The kernel takes the larger value of the two (`IN_DEV_RPFILTER`); 1 is strict, 2 loose.
fn is_strict(interface: &str) -> bool {
    let of = |name: &str| setting(&format!("net/ipv4/conf/{name}/rp_filter")).unwrap_or(0);
    of("all").max(of(interface)) == 1
}
