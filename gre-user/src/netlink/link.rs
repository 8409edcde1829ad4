//! Interfaces: look up, create, delete.

use std::pin::pin;

use futures_util::TryStreamExt;
use gre_common::{tables::IfIndex, wire::ethernet::MacAddr};
use nix::errno::Errno;
use rtnetlink::{
    LinkGetRequest, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVlan,
    packet_route::link::{
        AfSpecInet6, AfSpecUnspec, InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
        LinkLayerType, LinkMessage, LinkXdp,
    },
};

use super::{Error, Netlink, answer, errno, optional};

/// Longest name of an interface, in bytes (`IFNAMSIZ` without its final zero).
const MAX_NAME: usize = 15;

/// Smallest MTU of an interface, in bytes (RFC 791, the kernel's `ETH_MIN_MTU`).
const MIN_MTU: u16 = 68;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub ifindex: IfIndex,
    /// Its name.
    pub name: String,
    /// Largest packet behind the link-layer header, in bytes.
    pub mtu: u32,
    /// The same for IPv6, which a router may have made smaller; `None` where the device has no IPv6.
    pub mtu6: Option<u32>,
    /// Its MAC address; `None` where frames have no Ethernet header.
    pub mac: Option<MacAddr>,
    /// Its kind where it is virtual, such as "veth".
    pub kind: Option<String>,
    /// The other end where it is one of a pair.
    pub peer: Option<Peer>,
    /// The device below, in this namespace, where it is stacked on one: that of a VLAN, say.
    pub below: Option<IfIndex>,
    /// The bridge, bond or the like whose part it is.
    pub master: Option<IfIndex>,
    /// Id of the XDP program attached to it, in whichever mode.
    pub xdp_program: Option<u32>,
    /// Whether it is set up.
    pub up: bool,
    /// Whether it resolves addresses by ARP.
    pub arp: bool,
}

/// The other end of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its index in its namespace.
    pub ifindex: IfIndex,
    /// Our namespace's id for the peer's; `None` where that is the same one.
    pub netnsid: Option<i32>,
}

impl Netlink {
    /// The interface of this name.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn link(&self, name: &str) -> Result<Option<Link>, Error> {
        if !is_valid_name(name) {
            return Ok(None);
        }
        self.get(self.handle.link().get().match_name(name))
            .await
            .map_err(|error| Error::new(format!("look up interface {name}"), &error))
    }

    /// The interface of this index.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn link_by_index(&self, ifindex: IfIndex) -> Result<Option<Link>, Error> {
        // The kernel calls a question about none invalid.
        if ifindex.0.cast_signed() <= 0 {
            return Ok(None);
        }
        self.get(self.handle.link().get().match_index(ifindex.0))
            .await
            .map_err(|error| Error::new(format!("look up interface {}", ifindex.0), &error))
    }

    /// All interfaces.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        let messages = self.handle.link().get().execute();
        answer(messages.map_ok(Link::from).try_collect())
            .await
            .map_err(|error| Error::new("list the interfaces", &error))
    }

    /// The MAC address of a link's other end, also in another namespace; `None` where there is none or it
    /// cannot be seen from here.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn peer_mac(&self, link: &Link) -> Result<Option<MacAddr>, Error> {
        let Some(peer) = link.peer else { return Ok(None) };
        let mut request = self.handle.link().get().match_index(peer.ifindex.0);
        if let Some(netnsid) = peer.netnsid {
            request.message_mut().attributes.push(LinkAttribute::IfNetnsId(netnsid));
        }
        // The namespace may have no id (EINVAL), or belong to a user namespace out of reach.
        let out_of_sight = [Errno::EINVAL, Errno::EPERM, Errno::EACCES];
        optional(self.get(request).await, &out_of_sight)
            .map(|peer| peer.flatten().and_then(|peer| peer.mac))
            .map_err(|error| Error::new(format!("look up the peer of {}", link.name), &error))
    }

    /// Makes a veth pair and sets both ends up. Without `arp` the stack behind `name` takes every address for
    /// its own link's (NOARP).
    ///
    /// # Errors
    /// A name is invalid or taken, the MTU is too small, a privilege is missing. Nothing is left behind.
    pub async fn create_veth(
        &self,
        name: &str,
        peer: &str,
        mtu: u16,
        arp: bool,
    ) -> Result<(Link, Link), Error> {
        if let Some(invalid) = [name, peer].into_iter().find(|name| !is_valid_name(name)) {
            return Err(Error::InterfaceName(invalid.to_owned()));
        }
        if mtu < MIN_MTU {
            return Err(Error::Mtu(mtu));
        }
        let far = LinkMessageBuilder::<LinkUnspec>::default().name(peer).mtu(mtu.into()).build();
        let near = LinkVeth::new(name, peer)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .mtu(mtu.into())
            .arp(arp)
            .build();
        if let Err(error) = answer(self.handle.link().add(near).execute()).await {
            return Err(match errno(&error) {
                Some(Errno::EEXIST) if self.link(name).await?.is_some() => {
                    Error::InterfaceExists(name.to_owned())
                }
                Some(Errno::EEXIST) => Error::InterfaceExists(peer.to_owned()),
                Some(Errno::EOPNOTSUPP) => Error::NoVeth,
                _ => Error::new(format!("create the veth pair {name} and {peer}"), &error),
            });
        }
        let pair = async { Ok((self.settle(name).await?, self.settle(peer).await?)) }.await;
        if pair.is_err()
            && let Some(link) = self.link(name).await?
        {
            self.delete_link(link.ifindex).await?;
        }
        pair
    }

    /// Makes the device of a VLAN, and sets it up.
    ///
    /// # Errors
    /// There is one, or a privilege is missing.
    pub async fn create_vlan(&self, below: &Link, vid: u16, name: &str) -> Result<Link, Error> {
        let message = LinkVlan::new(name, below.ifindex.0, vid).build();
        let created = answer(self.handle.link().add(message).execute()).await;
        created.map_err(|error| Error::new(format!("make the interface {name}"), &error))?;
        let device = self.settle(name).await;
        if device.is_err()
            && let Some(link) = self.link(name).await?
        {
            self.delete_link(link.ifindex).await?;
        }
        device
    }

    /// Sets the largest packet behind the link-layer header, in bytes.
    ///
    /// # Errors
    /// The interface is gone or takes none of this size, or a privilege is missing.
    pub async fn set_mtu(&self, link: &Link, mtu: u16) -> Result<(), Error> {
        let change = LinkUnspec::new_with_index(link.ifindex.0).mtu(mtu.into()).build();
        self.set(change, || format!("give {} an MTU of {mtu}", link.name)).await
    }

    /// Says whether it resolves addresses by ARP.
    ///
    /// # Errors
    /// The interface is gone, or a privilege is missing.
    pub async fn set_arp(&self, link: &Link, arp: bool) -> Result<(), Error> {
        let change = LinkUnspec::new_with_index(link.ifindex.0).arp(arp).build();
        self.set(change, || format!("change ARP on {}", link.name)).await
    }

    /// Deletes an interface; with one end of a pair the other goes too. One that is absent is fine.
    ///
    /// # Errors
    /// The interface cannot be deleted, or a privilege is missing.
    pub async fn delete_link(&self, ifindex: IfIndex) -> Result<(), Error> {
        let result = answer(self.handle.link().del(ifindex.0).execute()).await;
        optional(result, &[Errno::ENODEV])
            .map(drop)
            .map_err(|error| Error::new(format!("delete interface {}", ifindex.0), &error))
    }

    /// Sets a new interface up and its MAC address for good: udev replaces one that the kernel chose.
    ///
    /// # Errors
    /// There is no such interface, or a privilege is missing.
    pub async fn settle(&self, name: &str) -> Result<Link, Error> {
        let action = || format!("set interface {name} up");
        let gone = || Error::Refused { action: action(), cause: Errno::ENODEV.desc().to_owned() };
        let link = self.link(name).await?.ok_or_else(gone)?;
        let address = link.mac.unwrap_or_default().to_vec();
        let message = LinkUnspec::new_with_index(link.ifindex.0).address(address).up().build();
        self.set(message, action).await?;
        Ok(Link { up: true, ..link })
    }

    async fn set(&self, change: LinkMessage, action: impl FnOnce() -> String) -> Result<(), Error> {
        answer(self.handle.link().set(change).execute())
            .await
            .map_err(|error| Error::new(action(), &error))
    }

    async fn get(&self, request: LinkGetRequest) -> Result<Option<Link>, rtnetlink::Error> {
        let message = answer(pin!(request.execute()).try_next()).await;
        optional(message, &[Errno::ENODEV]).map(|message| message.flatten().map(Link::from))
    }
}

/// The kernel's `dev_valid_name`.
fn is_valid_name(name: &str) -> bool {
    let is_forbidden = |byte: u8| matches!(byte, b'/' | b':' | 0x0b) || byte.is_ascii_whitespace();
    (1..=MAX_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.bytes().any(is_forbidden)
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            ifindex: IfIndex(message.header.index),
            name: String::new(),
            mtu: 0,
            mtu6: None,
            mac: None,
            kind: None,
            peer: None,
            below: None,
            master: None,
            xdp_program: None,
            up: flags.contains(LinkFlags::Up),
            arp: !flags.contains(LinkFlags::Noarp),
        };
        let has_ethernet = message.header.link_layer_type == LinkLayerType::Ether;
        let mut below = IfIndex::NONE;
        let mut netnsid = None;
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::AfSpecUnspec(families) => {
                    link.mtu6 = families.iter().find_map(mtu6);
                }
                LinkAttribute::Address(mac) if has_ethernet => link.mac = mac.try_into().ok(),
                LinkAttribute::LinkInfo(infos) => link.kind = infos.iter().find_map(kind),
                LinkAttribute::Xdp(xdp) => link.xdp_program = xdp.iter().find_map(program),
                LinkAttribute::Controller(ifindex) => link.master = Some(IfIndex(ifindex)),
                LinkAttribute::Link(ifindex) => below = IfIndex(ifindex),
                LinkAttribute::LinkNetNsId(id) => netnsid = Some(id),
                _ => {}
            }
        }
        // Of a VLAN or macvlan device, IFLA_LINK is the device below.
        let is_paired = matches!(link.kind.as_deref(), Some("veth" | "netkit"));
        link.peer =
            (is_paired && below != IfIndex::NONE).then_some(Peer { ifindex: below, netnsid });
        link.below =
            Some(below).filter(|&below| !is_paired && netnsid.is_none() && below != IfIndex::NONE);
        link
    }
}

fn mtu6(family: &AfSpecUnspec) -> Option<u32> {
    let AfSpecUnspec::Inet6(attributes) = family else { return None };
    attributes.iter().find_map(|attribute| match attribute {
        AfSpecInet6::DevConf(settings) => u32::try_from(settings.mtu6).ok(),
        _ => None,
    })
}

fn kind(info: &LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

/// With programs in two modes there is no `IFLA_XDP_PROG_ID`, only one attribute for each mode.
fn program(xdp: &LinkXdp) -> Option<u32> {
    match *xdp {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::is_valid_name;

    #[test]
    fn names_are_judged_as_the_kernel_does() {
        for valid in ["e", "eth0.100", "fifteen-bytes-x"] {
            assert!(is_valid_name(valid), "{valid}");
        }
        for invalid in ["", ".", "..", "a/b", "a:1", "a b", "a\tb", "a\x0bb", "sixteen-bytes-xx"] {
            assert!(!is_valid_name(invalid), "{invalid:?}");
        }
    }
}
