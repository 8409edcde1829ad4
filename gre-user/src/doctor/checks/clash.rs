//! Who else takes packets at the same place.

use super::{
    Check, FINE, Host, Judge, Severity, Tenant, Told, Trouble, Uplink, bad, found, kernel::TCX,
    when,
};
use crate::{
    datapath::tc,
    doctor::facts::{Device, Endpoint, Keys, Owner, Program},
    state::tenant::describe_key,
};

/// The rows.
pub const CHECKS: &[Check] = &[
    Check {
        id: "foreign_xdp",
        severity: Severity::Error,
        fine: "the place of the XDP program is free, or ours",
        judge: Judge::Uplink(xdp_in_the_way),
    },
    Check {
        id: "foreign_xdp_first",
        severity: Severity::Warning,
        fine: "no XDP program of somebody else sees packets before TC does",
        judge: Judge::Uplink(xdp_before_tc),
    },
    Check {
        id: "foreign_tc",
        severity: Severity::Warning,
        fine: "no TC program of somebody else comes first",
        judge: Judge::Uplink(tc_before_ours),
    },
    Check {
        id: "foreign_filter",
        severity: Severity::Error,
        fine: "the place of the TC filter is free, or ours",
        judge: Judge::Uplink(filter_in_the_way),
    },
    Check {
        id: "program_missing",
        severity: Severity::Error,
        fine: "the TC program is there",
        judge: Judge::Uplink(missing),
    },
    Check {
        id: "kernel_gre",
        severity: Severity::Note,
        fine: "no GRE device of the kernel has the same addresses and key",
        judge: Judge::Tenant(kernel_device),
    },
    Check {
        id: "ovs_gre",
        severity: Severity::Note,
        fine: "no port of Open vSwitch has the same addresses and key",
        judge: Judge::Tenant(ovs_port),
    },
];

fn foreign(device: &Device) -> Option<&Program> {
    device.xdp_program.as_ref().filter(|program| !program.is_ours)
}

impl Program {
    fn describe(&self) -> String {
        match self.name.as_str() {
            "" => format!("id {}", self.id),
            name => format!("{name}, id {}", self.id),
        }
    }
}

/// A device whose programs could be looked at: without privilege ours are not known.
fn looked_at<'u>(host: &Host, uplink: &'u Uplink) -> Option<&'u Device> {
    uplink.device.as_ref().filter(|_| host.kernel.lacks.is_none())
}

fn xdp_in_the_way(host: &Host, uplink: &Uplink) -> Told {
    let program = foreign(looked_at(host, uplink).filter(|_| uplink.mode.is_none())?);
    found(program.map(|program| {
        let what = program.describe();
        let cause =
            format!("it has another XDP program ({what}), and xgre never replaces another's");
        let name = &uplink.name;
        let remedy =
            format!("ip link set dev {name} xdp off  # or: xgre run --iface {name} --mode tc");
        Trouble::new(cause, remedy)
    }))
}

fn xdp_before_tc(host: &Host, uplink: &Uplink) -> Told {
    let program = foreign(looked_at(host, uplink).filter(|_| uplink.mode.is_some())?);
    found(program.map(|program| {
        let what = program.describe();
        let cause = format!("another XDP program ({what}) sees packets first: what it takes or changes xgre never sees");
        Trouble::new(cause, format!("ip link set dev {} xdp off  # if nobody needs it", uplink.name))
    }))
}

fn tc_before_ours(host: &Host, uplink: &Uplink) -> Told {
    let programs = looked_at(host, uplink)?.tcx.as_ref()?;
    let ours = programs.iter().position(|program| program.is_ours)?;
    let Some(before) = programs[..ours].first() else { return FINE };
    let (name, what) = (&uplink.name, before.describe());
    let cause = format!(
        "another TC program ({what}) comes first: what it takes or changes xgre never sees"
    );
    bad(cause, format!("bpftool net show dev {name}  # says whose it is; attach it behind xgre's"))
}

fn filter_in_the_way(host: &Host, uplink: &Uplink) -> Told {
    let device = looked_at(host, uplink).filter(|_| host.kernel.release < TCX)?;
    let filter = device.filters.iter().find(|filter| tc::is_in_the_way(filter));
    found(filter.map(|filter| {
        let name = &uplink.name;
        let cause = format!(
            "a TC filter ({}) has priority {} at its ingress, which xgre needs",
            filter.kind, filter.priority
        );
        Trouble::new(
            cause,
            format!("tc filter show dev {name} ingress  # give that one a higher number"),
        )
    }))
}

fn missing(host: &Host, uplink: &Uplink) -> Told {
    uplink.mode?;
    let device = looked_at(host, uplink)?;
    let is_there = match &device.tcx {
        Some(programs) => programs.iter().any(|program| program.is_ours),
        None => device.filters.iter().any(tc::is_ours),
    };
    when(!is_there, || {
        let cause = "somebody took xgre's TC program off: what XDP decapsulates gets lost";
        Trouble::new(cause, format!("xgre run --iface {}  # attaches it again", uplink.name))
    })
}

fn kernel_device(host: &Host, tenant: &Tenant) -> Told {
    let Some((endpoint, what)) = twin(host, tenant, Owner::Kernel) else { return FINE };
    let name = &endpoint.name;
    let cause = format!(
        "the kernel's GRE device {name} has {what}, too: it receives nothing, and both send"
    );
    bad(cause, format!("ip link del {name}  # `xgre import ip` carries over what it does"))
}

fn ovs_port(host: &Host, tenant: &Tenant) -> Told {
    let Some((endpoint, what)) = twin(host, tenant, Owner::OpenVswitch) else { return FINE };
    let name = &endpoint.name;
    let cause =
        format!("Open vSwitch's port {name} has {what}, too: it receives nothing, and both send");
    bad(cause, format!("ovs-vsctl del-port {name}  # `xgre import ovs` carries over what it does"))
}

/// An endpoint that answers to what a tenant receives, and what that is.
fn twin<'h>(host: &'h Host, tenant: &Tenant, owner: Owner) -> Option<(&'h Endpoint, String)> {
    // Nearly everywhere, whatever the number of tenants.
    if host.endpoints.is_empty() {
        return None;
    }
    let tunnels = tenant.tunnels.iter().filter_map(|name| host.tunnel(name));
    let mut pairs = tunnels.flat_map(|tunnel| host.endpoints.iter().map(move |it| (tunnel, it)));
    let (tunnel, endpoint) = pairs.find(|(tunnel, it)| {
        let same_ends =
            it.remote == tunnel.remote && it.local.is_none_or(|local| local == tunnel.local);
        let same_key = match it.keys {
            Keys::All => true,
            Keys::One(key) => key == tenant.key,
        };
        it.owner == owner && same_ends && same_key
    })?;
    let key = describe_key(tenant.key);
    Some((endpoint, format!("{key} from {} to {}", tunnel.remote, tunnel.local)))
}

#[cfg(test)]
mod tests {
    use gre_common::{tables::UplinkMode, wire::gre::GreKey};

    use crate::doctor::sample::{device, good, told};
    use crate::{
        doctor::facts::{Endpoint, Host, Keys, Owner, Program},
        netlink::filter::Filter,
    };

    fn program(id: u32, is_ours: bool) -> Program {
        Program { id, name: "prog".to_owned(), is_ours }
    }

    fn broken(change: impl FnOnce(&mut Host)) -> Vec<&'static str> {
        let mut host = good();
        change(&mut host);
        told(&host)
    }

    #[test]
    fn another_xdp_program() {
        let foreign = |mode| {
            broken(|host| {
                device(host).xdp_program = Some(program(7, false));
                host.uplinks[0].mode = mode;
            })
        };
        assert_eq!(foreign(None), ["foreign_xdp"]);
        assert_eq!(foreign(Some(UplinkMode::NATIVE)), ["foreign_xdp_first"]);
    }

    #[test]
    fn tcx_programs_in_their_order() {
        let order = |programs: Vec<Program>| broken(|host| device(host).tcx = Some(programs));
        assert_eq!(order(vec![program(7, false), program(8, true)]), ["foreign_tc"]);
        assert!(order(vec![program(8, true), program(7, false)]).is_empty());
        assert_eq!(order(vec![program(7, false)]), ["program_missing"]);
    }

    #[test]
    fn filters_below_tcx() {
        let filter = |priority, kind: &str, handle| {
            let kind = kind.to_owned();
            Filter { priority, kind, handle }
        };
        let filters = |filters: Vec<Filter>| {
            let mut told = broken(|host| {
                host.kernel.release = (6, 1);
                let device = device(host);
                device.tcx = None;
                device.filters = filters;
            });
            told.retain(|id| !["tcx", "xdp_features"].contains(id));
            told
        };
        assert!(filters(vec![filter(1, "bpf", 0x4752), filter(2, "u32", 1)]).is_empty());
        assert_eq!(filters(vec![filter(1, "u32", 1)]), ["foreign_filter", "program_missing"]);
        assert_eq!(filters(vec![]), ["program_missing"]);
    }

    #[test]
    fn others_with_the_same_addresses_and_key() {
        let with = |owner, local: Option<&str>, remote: &str, keys| {
            broken(|host| {
                host.endpoints.push(Endpoint {
                    owner,
                    name: "gre1".to_owned(),
                    local: local.map(|it| it.parse().expect("an address")),
                    remote: remote.parse().expect("an address"),
                    keys,
                });
            })
        };
        let ten = Keys::One(Some(GreKey(10)));
        let (here, there) = (Some("192.0.2.1"), "192.0.2.2");
        assert_eq!(with(Owner::Kernel, here, there, ten), ["kernel_gre"]);
        assert_eq!(with(Owner::OpenVswitch, None, there, Keys::All), ["ovs_gre"]);
        assert!(with(Owner::Kernel, here, there, Keys::One(None)).is_empty());
        assert!(with(Owner::Kernel, here, "192.0.2.3", ten).is_empty());
        assert!(with(Owner::Kernel, Some("192.0.2.9"), there, ten).is_empty());
    }
}
