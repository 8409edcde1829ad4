//! Both programs on an uplink.

use aya::programs::XdpMode;
use gre_common::tables::{Hook, IfIndex, UplinkMode};

use super::{Error, Result, load::Programs, pinned, tc, xdp};
use crate::{
    netlink::link::Link,
    state::{StateDir, uplink},
};

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// XDP in the driver, or TC where the driver cannot.
    Auto,
    /// XDP in the driver or nothing.
    Native,
    /// XDP behind the driver.
    Generic,
    /// No XDP.
    Tc,
    /// Packets are left alone.
    Shadow,
}

/// What an uplink got, and why.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The uplink.
    pub uplink: uplink::Named,
    /// Why it is not XDP in the driver, where the user did not ask for something else.
    pub fallback: Option<String>,
}

/// Refuses an interface without Ethernet header, or with somebody else's XDP program where ours would go.
///
/// # Errors
/// It is such an interface.
pub fn check(dir: &StateDir, link: &Link, mode: Mode) -> Result<()> {
    if link.mac.is_none() {
        return Err(Error::NotEthernet(link.name.clone()));
    }
    if matches!(mode, Mode::Tc | Mode::Shadow) {
        return Ok(());
    }
    xdp::check_foreign(link, &dir.link(Hook::UPLINK_XDP, link.ifindex))
}

/// Attaches both programs, in place of those of an earlier run. TC comes first: it must be there to take
/// over what XDP decapsulates.
///
/// # Errors
/// The kernel refuses; what was attached is taken off again.
pub fn attach(
    programs: &mut Programs,
    dir: &StateDir,
    link: &Link,
    mode: Mode,
    before: Option<UplinkMode>,
) -> Result<Attached> {
    tc::attach(programs.tc(Hook::UPLINK_TC)?, dir, Hook::UPLINK_TC, link)?;
    match attach_xdp(programs, dir, link, mode, before) {
        Ok((mode, fallback)) => {
            let uplink = uplink::Named { name: link.name.clone(), ifindex: link.ifindex, mode };
            Ok(Attached { uplink, fallback })
        }
        Err(error) if before.is_some() => Err(error),
        Err(error) => {
            tc::detach(dir, Hook::UPLINK_TC, &link.name, link.ifindex)?;
            Err(error)
        }
    }
}

/// Takes both programs off. XDP goes first, for what it decapsulates needs TC.
///
/// # Errors
/// A pin cannot be removed.
pub fn detach(dir: &StateDir, name: &str, ifindex: IfIndex) -> Result<()> {
    pinned::detach(&dir.link(Hook::UPLINK_XDP, ifindex))?;
    tc::detach(dir, Hook::UPLINK_TC, name, ifindex)
}

/// What came by a bond, `uplink_tc` meets on the bond; its note would be of a device that is no uplink.
const BOND: &str = "a bond's XDP sees its ports instead";

fn attach_xdp(
    programs: &mut Programs,
    dir: &StateDir,
    link: &Link,
    mode: Mode,
    before: Option<UplinkMode>,
) -> Result<(UplinkMode, Option<String>)> {
    let pin = dir.link(Hook::UPLINK_XDP, link.ifindex);
    let (wanted, xdp_mode) = match mode {
        Mode::Auto | Mode::Native => (UplinkMode::NATIVE, XdpMode::Driver),
        Mode::Generic => (UplinkMode::GENERIC, XdpMode::Skb),
        Mode::Tc | Mode::Shadow => {
            pinned::detach(&pin)?;
            let mode = if mode == Mode::Tc { UplinkMode::TC } else { UplinkMode::SHADOW };
            return Ok((mode, None));
        }
    };
    if wanted == UplinkMode::NATIVE && link.kind.as_deref() == Some("bond") {
        pinned::detach(&pin)?;
        return match mode {
            Mode::Auto => Ok((UplinkMode::TC, Some(BOND.to_owned()))),
            _ => Err(xdp::not_possible(link, "native XDP", BOND.to_owned())),
        };
    }
    // A link keeps the mode it was made with.
    if before.is_some_and(|before| before != wanted) {
        pinned::detach(&pin)?;
    }
    let error = match xdp::attach(programs.xdp(Hook::UPLINK_XDP)?, link, xdp_mode, &pin) {
        Ok(()) => return Ok((wanted, None)),
        Err(error) => error,
    };
    match mode {
        Mode::Auto => Ok((UplinkMode::TC, Some(xdp::cause(&error)))),
        _ => Err(xdp::refused(link, xdp_mode, &error)),
    }
}
