//! A store that talks TLS, and knows its hosts by their certificates.

use std::{net::IpAddr, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use testbed::{Host, etcd::Alone, two_hosts};

use crate::setup::eventually;

/// A certificate and its key, as files.
struct Signed {
    cert: PathBuf,
    key: PathBuf,
}

/// Who vouches for others.
struct Authority<'a> {
    host: &'a Host,
    name: &'a str,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl<'a> Authority<'a> {
    fn new(host: &'a Host, name: &'a str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Self { host, name, issuer }
    }

    fn cert(&self) -> PathBuf {
        self.host.file(&format!("{}.pem", self.name), &self.issuer.pem())
    }

    fn signs(&self, name: &str, address: &str) -> Signed {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let address: IpAddr = address.parse().expect("an address");
        params.subject_alt_names.push(SanType::IpAddress(address));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |kind: &str, text: &str| {
            self.host.file(&format!("{}-{name}-{kind}.pem", self.name), text)
        };
        Signed { cert: file("cert", &cert.pem()), key: file("key", &key.serialize_pem()) }
    }
}

/// One host has its options on the command line, the other in its file.
pub fn both_know_each_other() {
    let (a, b) = two_hosts();
    let authority = Authority::new(&a, "authority");
    let stranger = Authority::new(&a, "stranger");
    let (ca, server) = (authority.cert(), authority.signs("etcd", "192.0.2.1"));
    let [of_a, of_b] =
        [("a", "192.0.2.1"), ("b", "192.0.2.2")].map(|(name, at)| authority.signs(name, at));
    let _store = Alone::with_tls(&a.ns, "192.0.2.1", [&ca, &server.cert, &server.key]);
    let options = |ca: &PathBuf, own: &Signed| {
        let [ca, cert, key] = [ca, &own.cert, &own.key].map(|path| path.display().to_string());
        format!(
            "--fleet https://192.0.2.1:2379 --fleet-ca {ca} --fleet-cert {cert} --fleet-key {key}"
        )
    };
    let own = options(&ca, &of_a);
    let _first = a.start(&format!("--iface eth0 --max-tenants 64 --host a {own}"));
    let [cert, key] = [&of_b.cert, &of_b.key].map(|path| path.display().to_string());
    let table = format!(
        "[fleet]\nendpoints = [\"https://192.0.2.1:2379\"]\nhost = \"b\"\nhold = 60\n\
         ca = \"{}\"\ncert = \"{cert}\"\nkey = \"{key}\"\n",
        ca.display()
    );
    let table = b.file("fleet.toml", &table);
    let config = table.display();
    assert!(b.xgre(&format!("check {config}")).ok().contains("a fleet is followed"));
    let _second = b.start(&format!("--iface eth0 --max-tenants 64 --config {config}"));
    let refused = b.xgre(&format!("apply {config}")).err();
    assert!(refused.contains("follows a fleet"), "{refused}");

    let say = |args: &str| a.xgre(&format!("fleet {own} {args}"));
    eventually("etcd is there", || say("tenant add blue").status.success());
    for (host, end) in [("a", 1), ("b", 2)] {
        let port = format!("blue blue0 --host {host} --create --address 10.9.0.{end}");
        say(&format!("endpoint add {port}")).ok();
    }
    for (host, end) in [(&a, 1), (&b, 2)] {
        let address = format!("ip addr add 10.9.0.{end}/24 dev blue0");
        eventually("its port", || host.ns.exec(&address).status.success());
    }
    eventually("they reach each other", || a.ns.exec("ping -c 1 -W 1 10.9.0.2").status.success());

    let unknown = stranger.signs("a", "192.0.2.1");
    for (what, options) in [
        ("no certificate", format!("--fleet https://192.0.2.1:2379 --fleet-ca {}", ca.display())),
        ("one by somebody else", options(&ca, &unknown)),
        ("a server's by somebody else", options(&stranger.cert(), &of_a)),
        ("no TLS", "--fleet 192.0.2.1:2379".to_owned()),
    ] {
        let refused = a.xgre(&format!("fleet {options} status")).err();
        assert!(refused.contains("cannot reach the fleet's store"), "{what}: {refused}");
    }
}
