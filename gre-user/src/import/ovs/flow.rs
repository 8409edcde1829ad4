//! Flows in the words of `ovs-ofctl dump-flows` (ovs-fields(7), ovs-actions(7)), whichever version of the protocol.

use std::net::IpAddr;

use crate::value::Mac;

/// In the match of a VLAN: there is a tag (`OFPVID_PRESENT`, and the CFI bit of a TCI).
const PRESENT: u64 = 0x1000;
const VLAN_MASK: u64 = 0xfff;

/// A flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The table that it is in.
    pub table: u8,
    /// Whether it goes after a while: somebody learned it.
    pub expires: bool,
    /// Name and value; without a value it is empty.
    fields: Vec<(String, String)>,
    actions: Vec<Action>,
}

/// An action: `set_field:10->tun_id` is `set_field` with that argument.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Action {
    name: String,
    argument: String,
}

/// A packet that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output<'f> {
    /// The port, by name or number; `LOCAL` and the like.
    pub port: &'f str,
    /// The key that was set for it.
    pub key: Option<u32>,
}

impl Flow {
    /// `None`: the line is about something else.
    pub fn parse(line: &str) -> Option<Self> {
        // The match ends with a space, and has none but behind commas.
        let (head, actions) = line.split_once(" actions=")?;
        let mut flow = Self { table: 0, expires: false, fields: Vec::new(), actions: Vec::new() };
        for field in head.split([',', ' ']).filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            match name {
                "table" => flow.table = value.parse().ok()?,
                "idle_timeout" | "hard_timeout" => flow.expires = true,
                _ => flow.fields.push((name.to_owned(), value.to_owned())),
            }
        }
        flow.actions = split(actions.trim()).into_iter().map(Action::parse).collect();
        Some(flow)
    }

    fn field(&self, names: &[&str]) -> Option<&str> {
        let found = self.fields.iter().find(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, value)| value.as_str())
    }

    /// The key that packets must have.
    pub fn key(&self) -> Option<u32> {
        u32::try_from(number(self.field(&["tun_id", "tunnel_id"])?)?).ok()
    }

    /// The port that packets must come from, by name or number.
    pub fn in_port(&self) -> Option<&str> {
        self.field(&["in_port"]).map(unquoted)
    }

    /// The VLAN that packets must have.
    pub fn vlan(&self) -> Option<u16> {
        if let Some(text) = self.field(&["dl_vlan"]) {
            // All ones: no tag.
            return vlan(number(text)?);
        }
        let text = self.field(&["vlan_vid", "vlan_tci"])?;
        let (value, mask) = text.split_once('/').unwrap_or((text, "0x1fff"));
        let (value, mask) = (number(value)?, number(mask)?);
        let is_one = mask & VLAN_MASK == VLAN_MASK && (value & PRESENT != 0 || mask & PRESENT == 0);
        if is_one { vlan(value & VLAN_MASK) } else { None }
    }

    /// The station that frames must be for.
    pub fn station(&self) -> Option<Mac> {
        self.field(&["dl_dst", "eth_dst"])?.parse().ok()
    }

    /// Whether frames must be for certain stations, one or some.
    pub fn has_destination(&self) -> bool {
        self.field(&["dl_dst", "eth_dst"]).is_some()
    }

    /// The VLAN that packets get.
    pub fn sets_vlan(&self) -> Option<u16> {
        self.actions.iter().find_map(|action| {
            let value = action.sets(&["vlan_vid", "NXM_OF_VLAN_TCI", "OXM_OF_VLAN_VID"]);
            let value =
                value.or_else(|| action.is("mod_vlan_vid")).or_else(|| action.is("set_vlan_vid"));
            vlan(number(value?)? & VLAN_MASK)
        })
    }

    /// The tables that packets go on to.
    pub fn next_tables(&self) -> impl Iterator<Item = u8> {
        self.actions.iter().filter_map(|action| match action.name.as_str() {
            "goto_table" => action.argument.parse().ok(),
            // resubmit(port,table)
            "resubmit" => action.argument.trim_end_matches(')').split(',').nth(1)?.parse().ok(),
            _ => None,
        })
    }

    /// The packets that leave.
    pub fn outputs(&self) -> Vec<Output<'_>> {
        let mut key = None;
        let mut outputs = Vec::new();
        for action in &self.actions {
            let set = action.sets(&["tun_id", "tunnel_id", "NXM_NX_TUN_ID", "OXM_OF_TUNNEL_ID"]);
            let set = set.or_else(|| action.is("set_tunnel")).or_else(|| action.is("set_tunnel64"));
            if let Some(set) = set {
                key = number(set).and_then(|key| u32::try_from(key).ok());
            }
            if let Some(port) = action.output() {
                outputs.push(Output { port, key });
            }
        }
        outputs
    }

    /// Address and MAC address where it answers requests of ARP.
    pub fn answer(&self) -> Option<(IpAddr, Mac)> {
        let address = self.field(&["arp_tpa"])?.parse().ok()?;
        let mac = self.actions.iter().find_map(|action| {
            let value = action.sets(&["arp_sha", "NXM_NX_ARP_SHA", "OXM_OF_ARP_SHA"])?;
            value.parse().ok().or_else(|| {
                let octets = number(value)?.to_be_bytes();
                Some(Mac([octets[2], octets[3], octets[4], octets[5], octets[6], octets[7]]))
            })
        });
        Some((address, mac?))
    }

    /// Whether it only does what a switch without flows would.
    pub fn is_normal(&self) -> bool {
        matches!(self.actions.as_slice(), [action] if action.name == "NORMAL")
    }

    /// What it does that has no like here: its name.
    pub fn speciality(&self) -> Option<&str> {
        const SPECIAL: [&str; 6] = ["group", "meter", "ct", "enqueue", "controller", "CONTROLLER"];
        let mut names = self.actions.iter().map(|action| action.name.as_str());
        names.find(|name| SPECIAL.contains(name))
    }
}

impl Action {
    fn parse(text: &str) -> Self {
        let end = text.find([':', '(', '=']).unwrap_or(text.len());
        let (name, argument) = text.split_at(end);
        let argument = argument.get(1..).unwrap_or_default();
        Self { name: name.to_owned(), argument: argument.to_owned() }
    }

    /// The argument where this is the action's name.
    fn is(&self, name: &str) -> Option<&str> {
        (self.name == name).then_some(self.argument.as_str())
    }

    /// The value where it sets all of one of these fields.
    fn sets(&self, fields: &[&str]) -> Option<&str> {
        let argument = self.is("set_field").or_else(|| self.is("load"))?;
        let (value, field) = argument.split_once("->")?;
        let field =
            field.strip_suffix("[]").or_else(|| field.strip_suffix("[0..11]")).unwrap_or(field);
        let value = value.split_once('/').map_or(value, |(value, _)| value);
        fields.contains(&field).then_some(value)
    }

    fn output(&self) -> Option<&str> {
        match self.name.as_str() {
            "output" => Some(unquoted(&self.argument)),
            "LOCAL" => Some("LOCAL"),
            _ => None,
        }
    }
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let separates = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    text.split(separates).filter(|part| !part.is_empty()).collect()
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

/// Decimal, or hexadecimal after 0x.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn vlan(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|vlan| (1..4095).contains(vlan))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Flow, Output};
    use crate::value::Mac;

    fn flow(rest: &str) -> Flow {
        let line = format!(" cookie=0x7, duration=1.5s, table=20, n_packets=0, n_bytes=0, {rest}");
        Flow::parse(&line).unwrap()
    }

    /// The same in versions 1.0, 1.3 and 1.5.
    #[test]
    fn versions_differ_in_words_only() {
        for text in [
            "idle_age=0, priority=1,tun_id=0xa actions=mod_vlan_vid:1,resubmit(,10)",
            "priority=1,tun_id=0xa actions=push_vlan:0x8100,set_field:4097->vlan_vid,resubmit(,10)",
            "reset_counts priority=1,tun_id=0xa actions=push_vlan:0x8100,set_field:4097->vlan_vid,goto_table:10",
        ] {
            let flow = flow(text);
            let next: Vec<_> = flow.next_tables().collect();
            assert_eq!(
                (flow.table, flow.key(), flow.sets_vlan(), next),
                (20, Some(10), Some(1), vec![10]),
                "{text}"
            );
        }
        for text in [
            "priority=1,dl_vlan=1 actions=strip_vlan,set_tunnel:0xa,output:2,LOCAL",
            "priority=1,dl_vlan=1 actions=pop_vlan,set_field:0xa->tun_id,output:\"2\",LOCAL",
            "priority=1,vlan_vid=0x1001/0x1fff actions=pop_vlan,load:0xa->NXM_NX_TUN_ID[],output:2,LOCAL",
            "priority=1,vlan_tci=0x0001/0x0fff actions=load:0xa->NXM_NX_TUN_ID[],output:2,LOCAL",
        ] {
            let flow = flow(text);
            let outputs = ["2", "LOCAL"].map(|port| Output { port, key: Some(10) });
            assert_eq!((flow.vlan(), flow.outputs()), (Some(1), outputs.to_vec()), "{text}");
        }
        for sha in ["load:0xfa163e000001->NXM_NX_ARP_SHA[]", "set_field:fa:16:3e:00:00:01->arp_sha"]
        {
            let flow = flow(&format!(
                "arp,dl_vlan=1,arp_tpa=10.0.0.5 actions=load:0x2->NXM_OF_ARP_OP[],{sha},IN_PORT"
            ));
            let mac = Mac([0xfa, 0x16, 0x3e, 0, 0, 1]);
            assert_eq!(flow.answer(), Some(("10.0.0.5".parse().unwrap(), mac)));
        }
    }

    #[test]
    fn what_is_learned_goes() {
        let learned = "hard_timeout=300, priority=1,vlan_tci=0x0001/0x0fff,dl_dst=fa:16:3e:00:00:02 actions=output:2";
        assert!(flow(learned).expires);
        // The commas of what teaches are its own.
        let teaches = flow(
            "priority=1 actions=learn(table=20,hard_timeout=300,load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],\
             output:NXM_OF_IN_PORT[]),output:100",
        );
        assert!(!teaches.expires);
        assert_eq!(teaches.outputs(), [Output { port: "100", key: None }]);
    }

    #[test]
    fn what_is_for_many_is_for_no_vlan_or_station() {
        let many = flow("dl_vlan=0xffff,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=drop");
        assert_eq!((many.vlan(), many.station(), many.has_destination()), (None, None, true));
        assert_eq!(flow("vlan_tci=0x1000/0x1000 actions=drop").vlan(), None);
        assert_eq!(flow("tun_id=0x10/0xf0 actions=drop").key(), None);
        assert_eq!(flow("tun_id=0x100000000 actions=drop").key(), None);
    }

    #[test]
    fn other_lines_are_none() {
        for line in ["", "NXST_FLOW reply (xid=0x4):", " table=x actions=drop", "actions"] {
            assert_eq!(Flow::parse(line), None, "{line}");
        }
    }

    proptest! {
        /// Flows of words that mean something, in any order, and what is near them.
        #[test]
        fn no_line_is_too_odd(
            words in proptest::collection::vec(
                proptest::sample::select(vec![
                    "table=", "tun_id=", "0x", "10", "1", ",", " ", " actions=", "set_field:", "->", "tun_id", "load:",
                    "NXM_NX_TUN_ID[]", "output:", "resubmit(", ")", "(", "learn(", "dl_vlan=", "vlan_tci=", "/", "\"", "é",
                    "arp_tpa=", "10.0.0.5", "NXM_NX_ARP_SHA[]", "mod_vlan_vid:", "18446744073709551616",
                ]),
                0..24,
            ),
            noise in ".*",
        ) {
            for line in [words.concat(), noise] {
                let Some(flow) = Flow::parse(&line) else { continue };
                let _ = (flow.key(), flow.vlan(), flow.sets_vlan(), flow.station(), flow.answer(), flow.speciality());
                let _ = (flow.outputs(), flow.next_tables().count(), flow.in_port(), flow.is_normal());
            }
        }
    }
}
