//! What Open vSwitch's database says (ovs-vswitchd.conf.db(5)), and its flows, by its own tools.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::flow::Flow;

/// Seconds that a tool waits for an answer.
const PATIENCE: &str = "--timeout=10";
/// Whichever the bridge speaks.
const VERSIONS: &str = "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15";

/// A bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bridge {
    /// Its name, which is also that of its own device.
    pub name: String,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Whether somebody tells it its flows.
    pub is_controlled: bool,
}

/// A port of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its interfaces: one, or those of a bond.
    pub interfaces: Vec<Interface>,
    /// The VLAN of its untagged frames.
    pub tag: Option<u16>,
    /// Whether tagged frames pass: it is no access port.
    pub is_trunk: bool,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its type; empty: a device that was there.
    pub kind: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
    /// What others wrote down about it.
    pub external_ids: BTreeMap<String, String>,
    /// Its number in flows.
    pub ofport: Option<u64>,
    /// Its MAC address.
    pub mac: Option<String>,
}

/// All bridges, by name.
///
/// # Errors
/// There is no `ovs-vsctl`, or the database does not answer.
pub fn bridges() -> anyhow::Result<Vec<Bridge>> {
    let table = |name: &str, columns: &str| -> anyhow::Result<Vec<Value>> {
        let columns = format!("--columns={columns}");
        let text = run("ovs-vsctl", &[PATIENCE, "--format=json", &columns, "list", name])?;
        rows(&text).with_context(|| {
            format!("cannot read the table {name} of ovs-vsctl; is it Open vSwitch's own?")
        })
    };
    let bridges = table("Bridge", "name,ports,controller")?;
    let ports = table("Port", "_uuid,name,interfaces,tag,trunks,vlan_mode")?;
    let interfaces = table("Interface", "_uuid,name,type,options,external_ids,ofport,mac_in_use")?;
    Ok(assembled(&bridges, &ports, &interfaces))
}

/// The flows of a bridge.
///
/// # Errors
/// There is no `ovs-ofctl`, or the bridge does not answer.
pub fn flows(bridge: &str) -> anyhow::Result<Vec<Flow>> {
    let text = run("ovs-ofctl", &[PATIENCE, "-O", VERSIONS, "dump-flows", bridge])?;
    Ok(text.lines().filter_map(Flow::parse).collect())
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no {program} here; run this where Open vSwitch is, or install its tools (Debian: openvswitch-switch)"
        ),
        output => output.with_context(|| format!("cannot run {program}; is it executable?"))?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        bail!(
            "{last}: Open vSwitch does not answer; start it, run this as root, or say in OVS_RUNDIR where its sockets are"
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `{"headings": [...], "data": [[...], ...]}`, as objects.
fn rows(text: &str) -> Option<Vec<Value>> {
    let document: Value = serde_json::from_str(text).ok()?;
    let headings: Vec<_> =
        document["headings"].as_array()?.iter().filter_map(Value::as_str).collect();
    let row = |row: &Value| -> Option<Value> {
        let values = row.as_array()?.iter().cloned();
        Some(headings.iter().map(|&heading| heading.to_owned()).zip(values).collect())
    };
    document["data"].as_array()?.iter().map(row).collect()
}

fn assembled(bridges: &[Value], ports: &[Value], interfaces: &[Value]) -> Vec<Bridge> {
    let interfaces: BTreeMap<_, _> =
        interfaces.iter().map(|row| (uuid(row), interface(row))).collect();
    let of = |uuids: &Value| -> Vec<Interface> {
        set(uuids).into_iter().filter_map(|it| interfaces.get(&text(it)).cloned()).collect()
    };
    let ports: BTreeMap<_, _> = ports
        .iter()
        .map(|row| {
            let tag = set(&row["tag"]).first().and_then(|tag| tag.as_u64()?.try_into().ok());
            let mode = set(&row["vlan_mode"]).first().and_then(|mode| mode.as_str());
            let is_trunk = !set(&row["trunks"]).is_empty() || mode.is_some_and(|it| it != "access");
            let name = text(&row["name"]);
            (uuid(row), Port { name, interfaces: of(&row["interfaces"]), tag, is_trunk })
        })
        .collect();
    let mut bridges: Vec<_> = bridges
        .iter()
        .map(|row| {
            let of = set(&row["ports"]).into_iter();
            let mut ports: Vec<Port> = of.filter_map(|it| ports.get(&text(it)).cloned()).collect();
            ports.sort_by(|a, b| a.name.cmp(&b.name));
            let is_controlled = !set(&row["controller"]).is_empty();
            Bridge { name: text(&row["name"]), ports, is_controlled }
        })
        .collect();
    bridges.sort_by(|a, b| a.name.cmp(&b.name));
    bridges
}

fn interface(row: &Value) -> Interface {
    let first = |column: &str| set(&row[column]).into_iter().next();
    Interface {
        name: text(&row["name"]),
        kind: text(&row["type"]),
        options: map(&row["options"]),
        external_ids: map(&row["external_ids"]),
        ofport: first("ofport").and_then(Value::as_u64),
        mac: first("mac_in_use").map(text),
    }
}

fn uuid(row: &Value) -> String {
    text(&row["_uuid"])
}

/// Text, and that of `["uuid", "..."]`.
fn text(value: &Value) -> String {
    value.as_str().or_else(|| value.get(1)?.as_str()).unwrap_or_default().to_owned()
}

/// `["set", [...]]`; a set of one is written as that.
fn set(value: &Value) -> Vec<&Value> {
    match value.as_array().map(Vec::as_slice) {
        Some([kind, Value::Array(values)]) if kind == "set" => values.iter().collect(),
        _ if value.is_null() => Vec::new(),
        _ => vec![value],
    }
}

/// `["map", [["key", "value"], ...]]`
fn map(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.get(1).and_then(Value::as_array).into_iter().flatten();
    pairs.filter_map(|pair| Some((text(pair.get(0)?), text(pair.get(1)?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::{assembled, rows};

    /// Answers of Open vSwitch 3.1, shortened.
    const BRIDGE: &str = r#"{"data":[["br-int",["set",[["uuid","p1"],["uuid","p2"]]],["set",[]]],
        ["br-tun",["uuid","p3"],["uuid","c1"]]],"headings":["name","ports","controller"]}"#;
    const PORT: &str = r#"{"data":[[["uuid","p1"],"tap1",["uuid","i1"],1,["set",[]],["set",[]]],
        [["uuid","p2"],"bond",["set",[["uuid","i2"],["uuid","i4"]]],["set",[]],5,["set",[]]],
        [["uuid","p3"],"gre-2",["uuid","i3"],["set",[]],["set",[]],["set",[]]]],
        "headings":["_uuid","name","interfaces","tag","trunks","vlan_mode"]}"#;
    const INTERFACE: &str = r#"{"data":[[["uuid","i1"],"tap1","",["map",[]],["map",[["iface-id","x"]]],2,"0a:00:00:00:00:01"],
        [["uuid","i2"],"eth1","",["map",[]],["map",[]],-1,["set",[]]],
        [["uuid","i3"],"gre-2","gre",["map",[["in_key","flow"],["remote_ip","192.0.2.2"]]],["map",[]],["set",[]],["set",[]]]],
        "headings":["_uuid","name","type","options","external_ids","ofport","mac_in_use"]}"#;

    #[test]
    fn tables_become_bridges() {
        let [bridge, port, interface] = [BRIDGE, PORT, INTERFACE].map(|text| rows(text).unwrap());
        let bridges = assembled(&bridge, &port, &interface);
        let [int, tun] = bridges.as_slice() else { panic!("{bridges:?}") };
        assert_eq!(
            (int.name.as_str(), int.is_controlled, tun.is_controlled),
            ("br-int", false, true)
        );
        let [bond, tap] = int.ports.as_slice() else { panic!("{int:?}") };
        assert_eq!((tap.tag, tap.is_trunk, tap.interfaces[0].ofport), (Some(1), false, Some(2)));
        assert_eq!(tap.interfaces[0].mac.as_deref(), Some("0a:00:00:00:00:01"));
        assert_eq!((bond.tag, bond.is_trunk, bond.interfaces[0].ofport), (None, true, None));
        let gre = &tun.ports[0].interfaces[0];
        assert_eq!((gre.kind.as_str(), gre.options["in_key"].as_str()), ("gre", "flow"));
    }

    #[test]
    fn other_text_is_no_table() {
        for text in ["", "[]", "{}", r#"{"data":1,"headings":[]}"#] {
            assert_eq!(rows(text), None, "{text}");
        }
        assert!(
            assembled(&rows(r#"{"data":[[]],"headings":["name"]}"#).unwrap(), &[], &[]).len() == 1
        );
    }
}
