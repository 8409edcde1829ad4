//! What tenants have at their ports: virtual machines, routing tables of their own, VLANs of a trunk.

use testbed::{
    Netns, Ping, Tap,
    suite::{Case, Need},
    topology, veth,
};

use crate::setup::{Mode, Pair, Service, eventually, total};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("ports: a virtual machine", machine),
        Case::new("ports: a tenant without tunnels, and with one in the end", without_tunnels),
        Case::new("ports: a created one in a VRF", vrf).needs(Need::Device("vrf")),
        Case::new("ports: VLANs of a trunk", vlans).needs(Need::Device("vlan")),
    ]
}

/// A machine behind a tap device, with nothing but an address.
fn machine() {
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
    const ADDRESS: [u8; 4] = [10, 9, 0, 7];
    let pair = Pair::blue(Service::L2, Mode::Native);
    let mut tap = Tap::new(&pair.one.ns, "tap7");
    pair.one.xgre("port add blue tap7").ok();
    let ping = Ping::to("10.9.0.7").start(&pair.two.ns);
    let question = tap.receive(&ADDRESS);
    assert_eq!(question[12..14], [8, 6], "ARP");
    // The answer goes back to who asked (RFC 826): operation 2, our addresses in front of theirs.
    let mut answer = question.clone();
    answer[..6].copy_from_slice(&question[6..12]);
    answer[6..12].copy_from_slice(&MAC);
    answer[21] = 2;
    answer[32..42].copy_from_slice(&question[22..32]);
    answer[22..28].copy_from_slice(&MAC);
    answer[28..32].copy_from_slice(&ADDRESS);
    tap.send(&answer);
    for _ in 0..3 {
        let request = tap.receive(&[0x45]);
        assert_eq!((&request[30..34], request[34]), (&ADDRESS[..], 8), "an echo request");
        let mut reply = request.clone();
        reply[..6].copy_from_slice(&request[6..12]);
        reply[6..12].copy_from_slice(&MAC);
        reply[26..30].copy_from_slice(&ADDRESS);
        reply[30..34].copy_from_slice(&request[26..30]);
        // RFC 1624 equation 3: the type 8 has become 0.
        let sum = u32::from(u16::from_be_bytes([request[36], request[37]])) + 0x800;
        reply[34] = 0;
        reply[36..38].copy_from_slice(&((sum & 0xffff) as u16 + (sum >> 16) as u16).to_be_bytes());
        tap.send(&reply);
    }
    assert_eq!(ping.wait().received, 3);
    let fdb = pair.one.json("fdb list blue").to_string();
    assert!(fdb.contains("02:00:00:00:00:07") && fdb.contains("tap7"), "{fdb}");
}

/// Its ports reach each other, and nothing of it goes elsewhere.
fn without_tunnels() {
    let (host, _wire) = topology::sensor();
    let machines = [Netns::new(), Netns::new()];
    for (end, machine) in (1..).zip(&machines) {
        veth((machine, "eth0"), (&host.ns, &format!("tap{end}")));
        machine.ip(&format!("addr add 10.9.0.{end}/24 dev eth0"));
    }
    let [first, second] = &machines;
    let _daemon = host.start("--iface eth0");
    let apply = |text: &str| {
        let path = host.file("toml", text);
        host.xgre(&format!("apply {}", path.display())).ok();
    };
    let tenant = "[[tenant]]\nname = \"blue\"\nkey = 10\ntunnels = []\nservice = \"l2\"\n";
    let port = |end| format!("\n[[port]]\ntenant = \"blue\"\nname = \"tap{end}\"\n");
    let alone = format!("{tenant}{}", port(1));
    let both = format!("{alone}{}", port(2));
    apply(&alone);
    Ping::to("10.9.0.2").unanswered(first);
    let stats = host.tenant_stats("blue");
    assert!(total(&stats["notices"]) > 0, "flooded, if to nobody: {stats}");
    apply(&both);
    // It may have given up asking.
    first.ip("neigh flush all");
    Ping::to("10.9.0.2").all_answered(first);
    assert_eq!(host.xgre("export").ok().trim(), both.trim());
    let tunnel = "[[tunnel]]\nname = \"t\"\nlocal = \"192.0.2.1\"\nremote = \"192.0.2.2\"\n\n";
    let pinging = Ping::to("10.9.0.1").times(100, 10).start(second);
    apply(&format!("{tunnel}{}", both.replace("[]", "[\"t\"]")));
    apply(&both);
    assert_eq!(pinging.wait().received, 100);
    apply(&alone);
    apply(tenant);
    assert!(host.json("port list")["ports"].as_array().is_some_and(Vec::is_empty));
    apply("");
}

/// The host's own tables do not know the tenant's network.
fn vrf() {
    let pair = Pair::with_tenants(Mode::Native, &[("blue", "--key 10"), ("red", "--key 20")]);
    for tenant in ["blue", "red"] {
        let table = tenant.len();
        pair.one.ns.ip(&format!("link add v-{tenant} type vrf table {table}"));
        pair.one.ns.ip(&format!("link set v-{tenant} up"));
        pair.one.ns.ip(&format!("link set {tenant}0 master v-{tenant}"));
    }
    for (host, end) in [(&pair.one, 1), (&pair.two, 2)] {
        for tenant in ["blue", "red"] {
            host.ns.ip(&format!("link set {tenant}0 up"));
        }
        host.ns.ip(&format!("addr add 10.9.0.{end}/24 dev blue0"));
    }
    pair.one.ns.ip("addr add 10.9.0.1/24 dev red0");
    assert!(!pair.one.ns.ip("route").contains("10.9.0.0"), "in the host's own table");
    let through = |tenant: &str| {
        let ping = format!("ping -I v-{tenant} -c 1 -W 2 10.9.0.2");
        pair.one.ns.exec(&ping).status.success()
    };
    eventually("the way through the VRF", || through("blue"));
    assert!(!through("red"), "the other tenant has nobody of this address");
}

/// Two tenants on one trunk, as a switch has them.
fn vlans() {
    let pair = Pair::with_tenants(
        Mode::Native,
        &[("blue", "--key 10 --service l2"), ("red", "--key 20 --service l2")],
    );
    let one = &pair.one;
    let trunk = testbed::Netns::new();
    veth((&trunk, "eth0"), (&one.ns, "trunk"));
    for (tenant, vid) in [("blue", 100), ("red", 200)] {
        one.xgre(&format!("port del {tenant} {tenant}0")).ok();
        one.xgre(&format!("port add {tenant} trunk --vlan {vid}")).ok();
        trunk.ip(&format!("link add link eth0 name {tenant} type vlan id {vid}"));
        pair.two.ns.ip(&format!("link set {tenant}0 up"));
    }
    for (tenant, subnet) in [("blue", "10.9.1"), ("red", "10.9.2")] {
        trunk.ip(&format!("addr add {subnet}.1/24 dev {tenant}"));
        trunk.ip(&format!("link set {tenant} mtu 1400 up"));
        pair.two.ns.ip(&format!("addr add {subnet}.2/24 dev {tenant}0"));
        Ping::to(&format!("{subnet}.2")).all_answered(&trunk);
    }
    let ports = one.json("port list");
    assert!(ports.to_string().contains("trunk.100"), "{ports}");
    let exported = one.xgre("export").ok();
    let said = "[[port]]\ntenant = \"red\"\nname = \"trunk\"\nvlan = 200";
    assert!(exported.contains(said), "{exported}");
    let path = one.file("trunk.toml", &exported);
    let nothing = one.xgre(&format!("apply {}", path.display())).ok();
    assert!(nothing.contains("nothing to change"), "{nothing}");
    one.xgre("port del red trunk.200").ok();
    assert!(!one.ns.ip("link").contains("trunk.200"));
    Ping::to("10.9.1.2").all_answered(&trunk);
    Ping::to("10.9.2.2").unanswered(&trunk);
    one.xgre(&format!("apply {}", path.display())).ok();
    Ping::to("10.9.2.2").all_answered(&trunk);
}
