//! The kernel's own GRE devices (Linux `net/ipv4/ip_gre.c`, `net/ipv6/ip6_gre.c`).

use std::net::IpAddr;

use futures_util::TryStreamExt;
use gre_common::tables::IfIndex;
use rtnetlink::{
    packet_core::{DefaultNla, Nla as _},
    packet_route::link::{
        GreEncapType, GreIOFlags, InfoData, InfoGre, InfoGre6, LinkAttribute, LinkInfo, LinkMessage,
    },
};

use super::{Error, Netlink, answer, link::Link};
use crate::value::Df;

/// `IFLA_GRE_FLAGS`: options of `ip6gre` devices.
const FLAGS: u16 = 13;
/// `IFLA_GRE_IGNORE_DF`
const IGNORE_DF: u16 = 19;
/// `IP6_TNL_F_USE_ORIG_TCLASS`
const USE_ORIG_TCLASS: u32 = 2;
/// In the TOS of a device: the inner packet's.
const TOS_INHERIT: u8 = 1;

/// What a device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// IP packets: `gre`, `ip6gre`.
    Ip,
    /// Ethernet frames: `gretap`, `ip6gretap`.
    Ethernet,
    /// Mirrored frames with a header of their own: `erspan`, `ip6erspan`.
    Erspan,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its interface.
    pub link: Link,
    /// What it carries.
    pub payload: Payload,
    /// How.
    pub parameters: Parameters,
    /// Whether its GRE packets are another network namespace's.
    pub is_foreign: bool,
}

/// What a device does to packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Outer source; `None`: whatever the route says.
    pub local: Option<IpAddr>,
    /// Outer destination; `None`: anyone.
    pub remote: Option<IpAddr>,
    /// What is in packets received.
    pub input: Fields,
    /// What is in packets sent.
    pub output: Fields,
    /// Outer TTL or hop limit; `None`: the inner packet's.
    pub ttl: Option<u8>,
    /// Outer TOS or traffic class; `None`: the inner packet's.
    pub tos: Option<u8>,
    /// Outer "don't fragment".
    pub df: Df,
    /// UDP headers around it, where there are (FOU, GUE).
    pub encap: Option<String>,
    /// Whether somebody else says with each packet where it goes: `external`.
    pub external: bool,
    /// The mark by which its packets are routed; 0: none.
    pub fwmark: u32,
    /// The device that packets have to leave by, and to come in by.
    pub bound: Option<IfIndex>,
}

/// Fields of GRE headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The key, where there is one.
    pub key: Option<u32>,
    /// Whether there is a checksum.
    pub csum: bool,
    /// Whether there is a sequence number.
    pub seq: bool,
}

impl Netlink {
    /// The GRE devices, by index.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn gre_devices(&self) -> Result<Vec<Device>, Error> {
        let messages = self.handle.link().get().execute();
        let devices = messages.try_filter_map(async |message| Ok(Device::new(message)));
        let mut devices: Vec<_> = answer(devices.try_collect())
            .await
            .map_err(|error| Error::new("list the GRE devices", &error))?;
        devices.sort_by_key(|device: &Device| device.link.ifindex.0);
        Ok(devices)
    }
}

impl Device {
    /// `None` where the message is about a device of another kind.
    fn new(message: LinkMessage) -> Option<Self> {
        let data = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => infos.iter().find_map(|info| match info {
                LinkInfo::Data(data) => Some(data),
                _ => None,
            }),
            _ => None,
        });
        let (payload, parameters) = match data? {
            InfoData::GreTun(list) => (Payload::Ip, Parameters::v4(list)),
            InfoData::GreTap(list) => (Payload::Ethernet, Parameters::v4(list)),
            InfoData::ErSpan(list) => (Payload::Erspan, Parameters::v4(list)),
            InfoData::GreTun6(list) => (Payload::Ip, Parameters::v6(list)),
            InfoData::GreTap6(list) => (Payload::Ethernet, Parameters::v6(list)),
            InfoData::Ip6ErSpan(list) => (Payload::Erspan, Parameters::v6(list)),
            _ => return None,
        };
        let is_foreign =
            message.attributes.iter().any(|it| matches!(it, LinkAttribute::LinkNetNsId(_)));
        Some(Self { payload, parameters, is_foreign, link: message.into() })
    }

    /// Whether the module made it for itself: `gre0` and its like, which take what matches no other device.
    pub fn is_fallback(&self) -> bool {
        let Parameters { local, remote, external, .. } = &self.parameters;
        let name = self.link.name.as_str();
        let is_named = matches!(name, "gre0" | "gretap0" | "erspan0" | "ip6gre0" | "ip6gretap0");
        is_named && local.is_none() && remote.is_none() && !external
    }
}

impl Parameters {
    fn none() -> Self {
        Self {
            local: None,
            remote: None,
            input: Fields::default(),
            output: Fields::default(),
            ttl: None,
            tos: Some(0),
            df: Df::Copy,
            encap: None,
            external: false,
            fwmark: 0,
            bound: None,
        }
    }

    fn v4(attributes: &[InfoGre]) -> Self {
        let mut this = Self::none();
        let [mut ikey, mut okey] = [0; 2];
        for attribute in attributes {
            match attribute {
                InfoGre::Link(ifindex) => this.bound = index(*ifindex),
                InfoGre::IFlags(flags) => this.input = Fields::new(*flags),
                InfoGre::OFlags(flags) => this.output = Fields::new(*flags),
                InfoGre::IKey(key) => ikey = *key,
                InfoGre::OKey(key) => okey = *key,
                InfoGre::Local(address) => this.local = host((*address).into()),
                InfoGre::Remote(address) => this.remote = host((*address).into()),
                InfoGre::Ttl(ttl) => this.ttl = Some(*ttl).filter(|&ttl| ttl > 0),
                InfoGre::Tos(tos) => this.tos = Some(*tos).filter(|tos| tos & TOS_INHERIT == 0),
                InfoGre::PathMTUDiscovery(true) => this.df = Df::Set,
                InfoGre::EncapType(kind) => this.encap = encap(*kind),
                InfoGre::CollectMetadata => this.external = true,
                InfoGre::FwMask(mark) => this.fwmark = *mark,
                // Set together with path MTU discovery it is refused (`ipgre_tunnel_validate`).
                InfoGre::Other(nla) if nla.kind() == IGNORE_DF && value(nla) == [1] => {
                    this.df = Df::Clear;
                }
                _ => {}
            }
        }
        this.with_keys(ikey, okey)
    }

    fn v6(attributes: &[InfoGre6]) -> Self {
        let mut this = Self { df: Df::Set, ..Self::none() };
        let [mut ikey, mut okey] = [0; 2];
        let mut inherits = false;
        for attribute in attributes {
            match attribute {
                InfoGre6::Link(ifindex) => this.bound = index(*ifindex),
                InfoGre6::IFlags(flags) => this.input = Fields::new(*flags),
                InfoGre6::OFlags(flags) => this.output = Fields::new(*flags),
                InfoGre6::IKey(key) => ikey = *key,
                InfoGre6::OKey(key) => okey = *key,
                InfoGre6::Local(address) => this.local = host((*address).into()),
                InfoGre6::Remote(address) => this.remote = host((*address).into()),
                InfoGre6::Ttl(ttl) => this.ttl = Some(*ttl).filter(|&ttl| ttl > 0),
                // Traffic class and flow label, as in the header.
                InfoGre6::FlowLabel(info) => this.tos = Some((info >> 20) as u8),
                InfoGre6::EncapType(kind) => this.encap = encap(*kind),
                InfoGre6::CollectMetadata => this.external = true,
                InfoGre6::FwMask(mark) => this.fwmark = *mark,
                InfoGre6::Other(nla) if nla.kind() == FLAGS => {
                    let flags = value(nla).try_into().map_or(0, u32::from_ne_bytes);
                    inherits = flags & USE_ORIG_TCLASS != 0;
                }
                _ => {}
            }
        }
        this.tos = this.tos.filter(|_| !inherits);
        this.with_keys(ikey, okey)
    }

    /// Flags and keys are attributes of their own, in whichever order.
    fn with_keys(mut self, ikey: u32, okey: u32) -> Self {
        for (fields, key) in [(&mut self.input, ikey), (&mut self.output, okey)] {
            fields.key = fields.key.map(|_| key);
        }
        self
    }
}

impl Fields {
    /// The key is still to come.
    fn new(flags: GreIOFlags) -> Self {
        Self {
            key: flags.contains(GreIOFlags::Key).then_some(0),
            csum: flags.contains(GreIOFlags::Checksum),
            seq: flags.contains(GreIOFlags::Seq),
        }
    }
}

/// `None` for the address that stands for all.
fn host(address: IpAddr) -> Option<IpAddr> {
    Some(address).filter(|address| !address.is_unspecified())
}

fn index(ifindex: u32) -> Option<IfIndex> {
    Some(IfIndex(ifindex)).filter(|&ifindex| ifindex != IfIndex::NONE)
}

fn encap(kind: GreEncapType) -> Option<String> {
    (kind != GreEncapType::None).then(|| kind.to_string())
}

/// Of an attribute that the library does not know.
fn value(nla: &DefaultNla) -> Vec<u8> {
    let mut value = vec![0; nla.value_len()];
    nla.emit_value(&mut value);
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtnetlink::packet_core::Parseable as _;

    use super::*;

    const HEADER_LEN: usize = 16;
    /// `IFLA_IFNAME`, `IFLA_LINKINFO` and in that `IFLA_INFO_KIND` and `IFLA_INFO_DATA`.
    const IFNAME: u16 = 3;
    const LINKINFO: u16 = 18;
    const KIND: u16 = 1;
    const DATA: u16 = 2;

    /// A device of which the kernel told this.
    fn device(kind: &str, data: &[u8]) -> Option<Device> {
        let info = attributes(&[(KIND, &[kind.as_bytes(), &[0]].concat()), (DATA, data)]);
        let mut bytes = vec![0; HEADER_LEN];
        bytes.extend(attributes(&[(IFNAME, b"gre1\0"), (LINKINFO, &info)]));
        Device::new(LinkMessage::parse(bytes.as_slice()).ok()?)
    }

    /// `IFLA_GRE_*` with values as they are on the wire.
    fn attributes(list: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in list {
            bytes.extend((4 + value.len() as u16).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn attributes_of_ipv4() {
        let data = attributes(&[
            (1, &[0; 4]),
            (2, &[0x20, 0]),
            (3, &[0xb0, 0]),
            (4, &[0, 0, 0, 7]),
            (5, &[0, 0, 1, 0]),
            (6, &[192, 0, 2, 1]),
            (7, &[192, 0, 2, 2]),
            (8, &[0]),
            (9, &[0x11]),
            (10, &[0]),
            (14, &[1, 0]),
            (IGNORE_DF, &[1]),
        ]);
        let Device { payload, parameters, link, .. } = device("gretap", &data).unwrap();
        assert_eq!((payload, link.name.as_str()), (Payload::Ethernet, "gre1"));
        assert_eq!(parameters.local, Some([192, 0, 2, 1].into()));
        assert_eq!(parameters.remote, Some([192, 0, 2, 2].into()));
        assert_eq!(parameters.input, Fields { key: Some(7), csum: false, seq: false });
        assert_eq!(parameters.output, Fields { key: Some(256), csum: true, seq: true });
        assert_eq!((parameters.ttl, parameters.tos, parameters.df), (None, None, Df::Clear));
        assert_eq!((parameters.encap.as_deref(), parameters.bound), (Some("fou"), None));
    }

    #[test]
    fn attributes_of_ipv6() {
        let remote = IpAddr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        let IpAddr::V6(address) = remote else { unreachable!() };
        let plain: [(u16, &[u8]); 4] =
            [(1, &[3, 0, 0, 0]), (7, &address.octets()), (8, &[64]), (12, &[0x02, 0x80, 0, 0])];
        let Device { payload, parameters, .. } = device("ip6gre", &attributes(&plain)).unwrap();
        assert_eq!(
            (payload, parameters.remote, parameters.local),
            (Payload::Ip, Some(remote), None)
        );
        assert_eq!(
            (parameters.ttl, parameters.tos, parameters.df),
            (Some(64), Some(0x28), Df::Set)
        );
        assert_eq!((parameters.input, parameters.bound), (Fields::default(), Some(IfIndex(3))));
        let inherits: [(u16, &[u8]); 2] = [(12, &[0, 0x20, 0, 0]), (FLAGS, &[2, 0, 0, 0])];
        let device = device("ip6gretap", &attributes(&inherits)).unwrap();
        assert_eq!(device.parameters.tos, None);
    }

    #[test]
    fn fallback_devices_are_the_modules() {
        let mut gre0 = device("gre", &[]).unwrap();
        assert!(!gre0.is_fallback());
        gre0.link.name = "gre0".to_owned();
        assert!(gre0.is_fallback());
        gre0.parameters.external = true;
        assert!(!gre0.is_fallback());
        assert_eq!(device("vxlan", &[]), None);
    }

    proptest! {
        #[test]
        fn no_data_is_too_odd(data: Vec<u8>, list: Vec<(u16, Vec<u8>)>) {
            let list: Vec<_> = list.iter().map(|(kind, value)| (kind % 25, value.as_slice())).collect();
            for data in [data, attributes(&list)] {
                for kind in ["gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan"] {
                    let _ = device(kind, &data);
                }
            }
        }
    }
}
