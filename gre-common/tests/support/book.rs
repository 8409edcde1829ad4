//! Rules for frames in transit, in memory, with a cast of them.

use std::{collections::HashMap, net::IpAddr};

use gre_common::{
    packet::Packet,
    tables::{Counters, IfIndex, TransitAction, TransitKey, TransitRule},
    transit::{Rules, transit},
    verdict::PassReason,
    wire::{address::Address, be32::Be32, gre::GreKey},
};

/// The interface that has the rules.
pub const HERE: IfIndex = IfIndex(7);
/// Another one.
pub const ELSEWHERE: IfIndex = IfIndex(8);

pub const SENDER: [u8; 4] = [198, 51, 100, 1];
pub const RECEIVER: [u8; 4] = [198, 51, 100, 2];
pub const THIRD: [u8; 4] = [198, 51, 100, 3];
/// Those of `ipv6`.
pub const SENDER6: [u8; 16] = [0xfd; 16];
pub const RECEIVER6: [u8; 16] = [0xfe; 16];

/// Rules in memory. Each one's number is its target.
#[derive(Debug, Default)]
pub struct Book(HashMap<TransitKey, TransitRule>);

impl Rules for Book {
    fn rule(&self, key: &TransitKey) -> Option<&TransitRule> {
        self.0.get(key)
    }
}

impl Book {
    fn with(mut self, number: u32, key: Option<u32>, local: Address, remote: Address) -> Self {
        let key = TransitKey { ifindex: HERE, key: key.map(GreKey).into(), local, remote };
        let rule = TransitRule {
            action: TransitAction::REDIRECT,
            target: IfIndex(number),
            matched: Counters::ZERO,
            iface: [0; 16],
            target_name: [0; 16],
        };
        assert_eq!(self.0.insert(key, rule), None, "two rules for the same packets");
        self
    }

    /// Rules that differ in addresses, for key 10; one for key 0 and one for packets without key.
    pub fn cast() -> Self {
        let (v4, v6) = (
            |address: [u8; 4]| Address::v4(address.into()),
            |address| {
                let [a, b, c, d] = Be32::words(address);
                Address::v6([a, b, c, d])
            },
        );
        let any = Address::NONE;
        Self::default()
            .with(1, Some(10), v4(RECEIVER), v4(SENDER))
            .with(2, Some(10), v4(RECEIVER), any)
            .with(3, Some(10), any, v4(SENDER))
            .with(4, Some(10), any, any)
            .with(5, Some(20), v4(RECEIVER), any)
            .with(6, Some(20), any, v4(SENDER))
            .with(7, Some(30), v6(RECEIVER6), v6(SENDER6))
            .with(8, Some(0), any, any)
            .with(9, None, any, any)
    }

    /// The number of the rule that a frame meets.
    pub fn number<P: Packet + ?Sized>(&self, packet: &P) -> Result<u32, PassReason> {
        transit(packet, self, HERE).map(|rule| rule.target.0)
    }

    /// The number of the rule that fits these best, found by looking at all.
    pub fn best(&self, key: Option<u32>, [local, remote]: [IpAddr; 2]) -> Option<u32> {
        let key = key.map(GreKey).into();
        let [local, remote] = [local, remote].map(Address::from);
        let fits = |rule: Address, address| rule == Address::NONE || rule == address;
        self.0
            .iter()
            .filter(|(rule, _)| {
                rule.key == key && fits(rule.local, local) && fits(rule.remote, remote)
            })
            .max_by_key(|(rule, _)| (rule.local != Address::NONE, rule.remote != Address::NONE))
            .map(|(_, rule)| rule.target.0)
    }
}
