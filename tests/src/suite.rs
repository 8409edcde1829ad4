//! Test cases that say what they need. One that cannot run is reported as ignored, with the reason.

use std::{fmt, fs, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

use crate::{command, host::xgre_binary, isolation::isolate, netns::Netns, ovs::OpenVswitch};

/// What a case needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A program in `PATH`.
    Program(&'static str),
    /// Open vSwitch.
    OpenVswitch,
    /// Open vSwitch and its kernel module.
    KernelDatapath,
    /// Whatever the case has looked at itself; else the reason why it cannot run.
    That(bool, &'static str),
    /// This version of Linux, or a later one.
    Linux(u32, u32),
    /// A kind of device that the kernel makes: `gre`, `ip6gretap`, `bond`, `vlan`, `vrf`.
    Device(&'static str),
    /// A kernel that encrypts by ESP.
    Esp,
}

impl Need {
    /// Whether it is met.
    pub fn is_met(self) -> bool {
        self.check().is_ok()
    }

    fn check(self) -> Result<(), String> {
        match self {
            Self::Program(name) if command::exists(name) => Ok(()),
            Self::Program(name) => Err(format!("needs the program {name}")),
            Self::OpenVswitch => OpenVswitch::available(),
            Self::KernelDatapath => OpenVswitch::kernel_datapath(),
            Self::That(true, _) => Ok(()),
            Self::That(false, reason) => Err(reason.to_owned()),
            Self::Linux(major, minor) if kernel() >= (major, minor) => Ok(()),
            Self::Linux(major, minor) => Err(format!("needs Linux {major}.{minor}")),
            Self::Device(kind) if makes(kind) => Ok(()),
            Self::Device(kind) => Err(format!("needs a kernel with devices of type {kind}")),
            Self::Esp if has_esp() => Ok(()),
            Self::Esp => Err("needs a kernel with ESP and AES-GCM".to_owned()),
        }
    }
}

/// Whether the kernel makes devices of this kind.
fn makes(kind: &str) -> bool {
    let ns = Netns::new();
    let (below, options) = match kind {
        "bond" => ("", ""),
        "vrf" => ("", "table 10"),
        "vlan" => {
            ns.ip("link add below type veth");
            ("link below", "id 1")
        }
        _ if kind.starts_with("ip6") => ("", "local 2001:db8::1 remote 2001:db8::2"),
        _ => ("", "local 192.0.2.1 remote 192.0.2.2"),
    };
    ns.exec(&format!("ip link add {below} name probe type {kind} {options}")).status.success()
}

/// Whether the kernel takes a security association of ESP.
fn has_esp() -> bool {
    let key = "0x000102030405060708090a0b0c0d0e0f10111213";
    let association = "src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode transport";
    let add = format!("ip xfrm state add {association} aead rfc4106(gcm(aes)) {key} 128");
    Netns::new().exec(&add).status.success()
}

/// Version of the running kernel.
fn kernel() -> (u32, u32) {
    let name = nix::sys::utsname::uname().expect("the kernel's name");
    let release = name.release().to_str().expect("a version in ASCII");
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// What every case needs, besides root and xgre.
const BASE: &[Need] = &[
    Need::Program("ip"),
    Need::Program("ethtool"),
    Need::Program("ping"),
    Need::Program("timeout"),
];

/// A test case: it panics when it fails.
pub struct Case {
    name: String,
    needs: Vec<Need>,
    run: Box<dyn FnOnce() + Send>,
}

impl Case {
    /// A case without special needs.
    pub fn new(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Self {
        Self { name: name.into(), needs: BASE.to_vec(), run: Box::new(run) }
    }

    /// With a need.
    #[must_use]
    pub fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.needs)
    }
}

/// A case: `docs/conformance.md` names cases that there are, as "`SUITE: BEGINNING`", and every case that begins like one of
/// `translated` is among them.
pub fn documented(suite: &'static str, translated: &'static [&str], cases: &[Case]) -> Case {
    let names: Vec<_> = cases.iter().map(|case| case.name.clone()).collect();
    Case::new(format!("the documents name cases of {suite}"), move || {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let of_suite = |code: &str| Some(code.strip_prefix(suite)?.strip_prefix(": ")?.to_owned());
        let documented: Vec<_> = text.split('`').skip(1).step_by(2).filter_map(of_suite).collect();
        for beginning in &documented {
            assert!(names.iter().any(|name| name.starts_with(beginning)), "no case {beginning}");
        }
        let is_translated = |name: &&String| translated.iter().any(|it| name.starts_with(it));
        for name in names.iter().filter(is_translated) {
            let is_documented = documented.iter().any(|it| name.starts_with(it));
            assert!(is_documented, "docs/conformance.md lacks {name}");
        }
        assert!(!documented.is_empty());
    })
}

/// Runs the cases that the command line selects, in parallel, and says loudly which it skips and why. In a filter `|` stands
/// between parts of names, one of which is enough.
pub fn main(mut cases: Vec<Case>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let Some(filter) = arguments.filter.take_if(|filter| filter.contains('|')) {
        cases.retain(|case| filter.split('|').any(|part| case.name.contains(part)));
    }
    let machine = isolate().and_then(|()| built());
    let mut known = Vec::new();
    let trials = cases
        .into_iter()
        .map(|Case { name, needs, run }| {
            let mut check = |need: &Need| once(&mut known, *need);
            let checked = machine.clone().and_then(|()| needs.iter().try_for_each(&mut check));
            if let (Err(reason), false) = (&checked, arguments.list) {
                eprintln!("SKIPPED {name}: {reason}");
            }
            Trial::test(name, || {
                run();
                Ok(())
            })
            .with_ignored_flag(checked.is_err())
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What a need's check said the first time. Some take a namespace, and hundreds of cases ask the same.
fn once(known: &mut Vec<(Need, Result<(), String>)>, need: Need) -> Result<(), String> {
    if let Some((_, checked)) = known.iter().find(|(earlier, _)| *earlier == need) {
        return checked.clone();
    }
    let checked = need.check();
    known.push((need, checked.clone()));
    checked
}

fn built() -> Result<(), String> {
    let binary = xgre_binary();
    let missing = || format!("needs {}: `cargo xtask build` makes it", binary.display());
    binary.exists().then_some(()).ok_or_else(missing)
}
