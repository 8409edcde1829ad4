//! The kernel's IPsec policies (RFC 4301 section 4.4.1; Linux `include/uapi/linux/xfrm.h`), as far as they are about GRE.

use std::net::IpAddr;

use futures_util::{Stream, StreamExt};
use gre_common::wire::ipv4;
use netlink_packet_xfrm::{
    Address, Selector, XfrmAttrs, XfrmMessage,
    constants::{
        AF_INET, XFRM_MODE_TRANSPORT, XFRM_POLICY_ALLOW, XFRM_POLICY_IN, XFRM_POLICY_OUT,
        XFRMNLGRP_POLICY,
    },
    policy::{DelGetMessage, ModifyMessage},
};
use rtnetlink::{
    packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    proto::{ConnectionHandle, new_connection},
    sys::{AsyncSocket, SocketAddr, protocols::NETLINK_XFRM},
};

use super::{Error, Netlink, PATIENCE};

/// What IPsec adds to a packet in transport mode at most, in bytes: UDP (8, RFC 3948), and of ESP (RFC 4303) SPI and sequence
/// number (8), an initialization vector (16), padding (15) with its length and the next header (2), an integrity check value (32).
const OVERHEAD: u32 = 8 + 8 + 16 + 15 + 2 + 32;
/// What tunnel mode adds besides: an IPv6 header.
const TUNNEL_OVERHEAD: u32 = 40;

pub(super) type Handle = ConnectionHandle<XfrmMessage>;

/// Which packets a policy is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Those received.
    In,
    /// Those sent.
    Out,
}

/// Something other than letting GRE packets pass as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    direction: Direction,
    selector: Selector,
    /// The smallest decides.
    priority: u32,
    lets_pass: bool,
    /// Bytes that it adds to a packet at most.
    pub overhead: u32,
}

/// All that may be about GRE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies(Vec<Policy>);

impl Policies {
    /// The policy about GRE packets between these addresses, unless it lets them pass as they are.
    pub fn about(&self, direction: Direction, from: IpAddr, to: IpAddr) -> Option<&Policy> {
        let matches = |policy: &&Policy| policy.direction == direction && policy.covers(from, to);
        let deciding = self.0.iter().filter(matches).map(|policy| policy.priority).min()?;
        // Of several with the same priority the oldest decides, which nobody tells: better one too many.
        let decides = |policy: &&Policy| policy.priority == deciding && !policy.lets_pass;
        self.0.iter().filter(matches).find(decides)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Policy {
    /// `None`: it is about packets that are forwarded, or never about GRE that this host ends.
    fn new(message: &ModifyMessage) -> Option<Self> {
        let info = &message.user_policy_info;
        let direction = match info.direction {
            XFRM_POLICY_IN => Direction::In,
            XFRM_POLICY_OUT => Direction::Out,
            _ => return None,
        };
        let (mut overhead, mut has_template) = (0, false);
        for attribute in &message.nlas {
            match attribute {
                XfrmAttrs::Template(templates) => {
                    for template in templates {
                        let in_tunnel = template.mode != XFRM_MODE_TRANSPORT;
                        overhead += OVERHEAD + if in_tunnel { TUNNEL_OVERHEAD } else { 0 };
                        has_template = true;
                    }
                }
                // Our packets have neither mark nor interface of IPsec.
                XfrmAttrs::Mark(mark) if mark.value != 0 => return None,
                XfrmAttrs::IfId(id) if *id != 0 => return None,
                _ => {}
            }
        }
        let is_gre = [0, ipv4::PROTO_GRE].contains(&info.selector.proto);
        is_gre.then_some(Self {
            direction,
            selector: info.selector,
            priority: info.priority,
            lets_pass: info.action == XFRM_POLICY_ALLOW && !has_template,
            overhead,
        })
    }

    /// Whether it selects packets by their GRE key, which stands where others have ports.
    pub fn selects_keys(&self) -> bool {
        self.selector.sport_mask != 0 || self.selector.dport_mask != 0
    }

    fn covers(&self, from: IpAddr, to: IpAddr) -> bool {
        let Selector { family, saddr, prefixlen_s, daddr, prefixlen_d, .. } = self.selector;
        from.is_ipv4() == (family == AF_INET)
            && is_within(from, saddr, prefixlen_s)
            && is_within(to, daddr, prefixlen_d)
    }
}

/// Whether an address begins with this many bits of another.
fn is_within(address: IpAddr, Address { addr }: Address, prefix_len: u8) -> bool {
    // Of IPv4 it is the first four bytes.
    let mut octets = [0; 16];
    match address {
        IpAddr::V4(address) => octets[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => octets = address.octets(),
    }
    let differing = u128::from_be_bytes(octets) ^ u128::from_be_bytes(addr);
    differing.leading_zeros() >= prefix_len.into()
}

/// `None` where the kernel knows no IPsec.
pub(super) fn connect() -> Option<Handle> {
    let (connection, handle, _) = new_connection(NETLINK_XFRM).ok()?;
    tokio::spawn(connection);
    Some(handle)
}

impl Netlink {
    /// The policies now.
    ///
    /// # Errors
    /// The kernel does not answer, or a privilege is missing.
    pub async fn ipsec_policies(&self) -> Result<Policies, Error> {
        const ACTION: &str = "list the IPsec policies";
        let Some(handle) = &self.ipsec else { return Ok(Policies::default()) };
        let mut request = NetlinkMessage::from(XfrmMessage::GetPolicy(DelGetMessage::default()));
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let refused = |cause: String| Error::Refused { action: ACTION.to_owned(), cause };
        let mut answers = handle
            .request(request, SocketAddr::new(0, 0))
            .map_err(|error| refused(error.to_string()))?;
        let mut policies = Vec::new();
        loop {
            let answer = tokio::time::timeout(PATIENCE, answers.next()).await;
            let answer = answer.map_err(|_| Error::NoAnswer { action: ACTION.to_owned() })?;
            match answer.map(|message| message.payload) {
                None => return Ok(Policies(policies)),
                Some(NetlinkPayload::InnerMessage(XfrmMessage::AddPolicy(policy))) => {
                    policies.extend(Policy::new(&policy));
                }
                Some(NetlinkPayload::Error(error)) => {
                    return Err(Error::new(ACTION, &rtnetlink::Error::NetlinkError(error)));
                }
                Some(_) => {}
            }
        }
    }
}

/// A note for each change of a policy; `None` where the kernel knows no IPsec.
pub(super) fn changes() -> Result<Option<impl Stream<Item = ()>>, Error> {
    let Ok((mut connection, handle, messages)) = new_connection::<XfrmMessage>(NETLINK_XFRM) else {
        return Ok(None);
    };
    let socket = connection.socket_mut().socket_mut();
    // The kernel sends no one else's messages to a socket without an address, which it takes for its own.
    socket
        .bind_auto()
        .and_then(|_| socket.add_membership(XFRMNLGRP_POLICY))
        .map_err(Error::Socket)?;
    tokio::spawn(connection);
    Ok(Some(messages.map(move |_| {
        // Without a handle the connection would end.
        let _connected = &handle;
    })))
}

#[cfg(test)]
mod tests {
    use netlink_packet_xfrm::{Mark, UserTemplate};

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// A policy of transport mode about what is sent between these prefixes.
    fn message(from: (&str, u8), to: (&str, u8)) -> ModifyMessage {
        let mut message = ModifyMessage::default();
        let info = &mut message.user_policy_info;
        info.direction = XFRM_POLICY_OUT;
        info.selector.source_prefix(&address(from.0), from.1);
        info.selector.destination_prefix(&address(to.0), to.1);
        message.nlas = vec![XfrmAttrs::Template(vec![UserTemplate::default()])];
        message
    }

    fn policies(messages: &[ModifyMessage]) -> Policies {
        Policies(messages.iter().filter_map(Policy::new).collect())
    }

    fn overhead(messages: &[ModifyMessage], from: &str, to: &str) -> Option<u32> {
        let policies = policies(messages);
        policies.about(Direction::Out, address(from), address(to)).map(|policy| policy.overhead)
    }

    #[test]
    fn addresses_decide() {
        let v4 = message(("192.0.2.1", 32), ("198.51.100.0", 24));
        let v6 = message(("2001:db8::", 32), ("2001:db8:1::", 48));
        let all = [v4, v6];
        assert_eq!(overhead(&all, "192.0.2.1", "198.51.100.7"), Some(OVERHEAD));
        assert_eq!(overhead(&all, "192.0.2.1", "198.51.101.7"), None);
        assert_eq!(overhead(&all, "192.0.2.2", "198.51.100.7"), None);
        assert_eq!(overhead(&all, "2001:db8::1", "2001:db8:1::1"), Some(OVERHEAD));
        assert_eq!(overhead(&all, "2001:db8::1", "2001:db8:2::1"), None);
        let any = message(("0.0.0.0", 0), ("0.0.0.0", 0));
        assert_eq!(
            overhead(std::slice::from_ref(&any), "192.0.2.1", "198.51.100.7"),
            Some(OVERHEAD)
        );
        assert_eq!(overhead(&[any], "2001:db8::1", "2001:db8:1::1"), None);
    }

    #[test]
    fn the_first_decides() {
        let ends = (("192.0.2.1", 32), ("192.0.2.2", 32));
        let protects = |messages: &[ModifyMessage]| overhead(messages, "192.0.2.1", "192.0.2.2");
        let mut protected = message(ends.0, ends.1);
        protected.user_policy_info.priority = 10;
        let mut passed = ModifyMessage { nlas: Vec::new(), ..protected.clone() };
        assert_eq!(
            protects(&[protected.clone(), passed.clone()]),
            Some(OVERHEAD),
            "either may be older"
        );
        passed.user_policy_info.priority = 9;
        assert_eq!(protects(&[protected.clone(), passed.clone()]), None);
        passed.user_policy_info.priority = 11;
        assert_eq!(protects(&[protected.clone(), passed.clone()]), Some(OVERHEAD));
        passed.user_policy_info.priority = 9;
        passed.user_policy_info.action = 1;
        assert_eq!(protects(&[protected, passed]), Some(0), "blocked");
    }

    #[test]
    fn others_are_not_about_us() {
        let ends = (("192.0.2.1", 32), ("192.0.2.2", 32));
        let is_about_us = |change: &dyn Fn(&mut ModifyMessage)| {
            let mut message = message(ends.0, ends.1);
            change(&mut message);
            overhead(&[message], "192.0.2.1", "192.0.2.2").is_some()
        };
        assert!(is_about_us(&|message| message.user_policy_info.selector.proto = 47));
        assert!(!is_about_us(&|message| message.user_policy_info.selector.proto = 17));
        assert!(!is_about_us(&|message| message.user_policy_info.direction = XFRM_POLICY_IN));
        assert!(!is_about_us(&|message| message.user_policy_info.direction = 2));
        let mark = |value, mask| XfrmAttrs::Mark(Mark { value, mask });
        assert!(!is_about_us(&|message| message.nlas.push(mark(1, 1))));
        assert!(is_about_us(&|message| message.nlas.push(mark(0, 1))));
        assert!(!is_about_us(&|message| message.nlas.push(XfrmAttrs::IfId(1))));
    }
}
