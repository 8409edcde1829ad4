//! One word of a few. The first is the default.

use clap::ValueEnum;
use gre_common::tables;
use serde::{Deserialize, Serialize};

use crate::datapath::port;

/// Outer ECN bits (RFC 6040 section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecn {
    /// The inner packet's.
    #[default]
    Normal,
    /// Zero.
    Compatibility,
}

/// Outer "don't fragment".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Df {
    /// Always set.
    #[default]
    Set,
    /// The inner packet's.
    Copy,
    /// Never set.
    Clear,
}

/// What is on unless it is turned off; true or false in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub enum Switch {
    /// On.
    #[default]
    On,
    /// Off.
    Off,
}

/// What a tenant's packets are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// IPv4 and IPv6 packets.
    #[default]
    L3,
    /// Ethernet frames.
    L2,
}

/// How packets are taken off a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortMode {
    /// Native on a physical device, else TC.
    #[default]
    Auto,
    /// XDP in the driver.
    Native,
    /// No XDP.
    Tc,
}

impl From<Df> for tables::DfPolicy {
    fn from(df: Df) -> Self {
        match df {
            Df::Set => Self::SET,
            Df::Copy => Self::COPY,
            Df::Clear => Self::CLEAR,
        }
    }
}

impl From<tables::DfPolicy> for Df {
    fn from(policy: tables::DfPolicy) -> Self {
        match policy {
            tables::DfPolicy::COPY => Self::Copy,
            tables::DfPolicy::CLEAR => Self::Clear,
            _ => Self::Set,
        }
    }
}

impl From<bool> for Switch {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

impl From<Switch> for bool {
    fn from(switch: Switch) -> Self {
        switch == Switch::On
    }
}

impl From<Service> for tables::Service {
    fn from(service: Service) -> Self {
        match service {
            Service::L2 => Self::L2,
            Service::L3 => Self::L3,
        }
    }
}

impl From<tables::Service> for Service {
    fn from(service: tables::Service) -> Self {
        if service == tables::Service::L2 { Self::L2 } else { Self::L3 }
    }
}

impl From<PortMode> for port::Mode {
    fn from(mode: PortMode) -> Self {
        match mode {
            PortMode::Auto => Self::Auto,
            PortMode::Native => Self::Native,
            PortMode::Tc => Self::Tc,
        }
    }
}

impl From<tables::PortMode> for PortMode {
    fn from(mode: tables::PortMode) -> Self {
        match mode {
            tables::PortMode::AUTO => Self::Auto,
            tables::PortMode::NATIVE => Self::Native,
            _ => Self::Tc,
        }
    }
}
