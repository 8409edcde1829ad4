//! Who else on this host answers to GRE packets.

use gre_common::wire::gre::GreKey;

use crate::{
    doctor::facts::{Endpoint, Keys, Owner},
    import::ovs::{self, GrePort},
    netlink::{self, Netlink, gre},
};

/// The kernel's GRE devices and Open vSwitch's GRE ports.
///
/// # Errors
/// The kernel does not answer.
pub async fn endpoints(netlink: &Netlink) -> Result<Vec<Endpoint>, netlink::Error> {
    let devices = netlink.gre_devices().await?;
    let mut endpoints: Vec<_> = devices.iter().filter_map(device).collect();
    endpoints.extend(ovs::gre_ports().into_iter().map(port));
    Ok(endpoints)
}

fn port(port: GrePort) -> Endpoint {
    let GrePort { name, local, remote, keys } = port;
    let keys = match keys {
        ovs::Keys::Flows => Keys::All,
        ovs::Keys::Fixed(input, _) => Keys::One(input.map(GreKey)),
    };
    Endpoint { owner: Owner::OpenVswitch, name, local, remote, keys }
}

/// `None`: its packets are not for one host, or another namespace's.
fn device(device: &gre::Device) -> Option<Endpoint> {
    let parameters = &device.parameters;
    let is_here = !device.is_foreign && parameters.encap.is_none() && !parameters.external;
    Some(Endpoint {
        owner: Owner::Kernel,
        name: device.link.name.clone(),
        local: parameters.local,
        remote: parameters.remote.filter(|_| is_here)?,
        keys: Keys::One(parameters.input.key.map(GreKey)),
    })
}
