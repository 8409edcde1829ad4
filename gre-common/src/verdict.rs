//! The outcome of a decision, and the reasons that operators see.
//!
//! A reason is one enum variant, one counter, one label in the CLI and JSON, one line of docs.

use crate::tables::{REASONS, TenantId};

/// What a hook does with one packet. Every packet gets exactly one.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<Plan> {
    /// Leave the packet, unchanged, to whoever comes next.
    Pass(PassReason),
    /// Discard the packet and count why.
    Drop(Discard),
    /// Rewrite the packet as planned and send it on.
    Forward(Plan),
}

/// A discarded packet: the reason, and the tenant it would have belonged to where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Why.
    pub reason: DropReason,
    tenant: TenantId,
}

impl Discard {
    /// Whose counter it goes to; `None` counts at the hook.
    #[inline(always)]
    pub fn tenant(self) -> Option<TenantId> {
        (self.tenant != TenantId::NONE).then_some(self.tenant)
    }
}

impl DropReason {
    /// A discard that no tenant is charged with.
    #[inline(always)]
    pub const fn unattributed(self) -> Discard {
        Discard { reason: self, tenant: TenantId::NONE }
    }

    /// A discard that `tenant` is charged with.
    #[inline(always)]
    pub const fn of(self, tenant: TenantId) -> Discard {
        Discard { reason: self, tenant }
    }
}

/// Why a decision ends without a plan; `?` carries it out.
///
/// No field is ever left undefined, as the tenant of a pass would be in an enum: the compiler fills what
/// is undefined with whatever a register holds, and the verifier refuses to see half a pointer stored
/// ("invalid size of register spill").
#[derive(Clone, Copy)]
pub(crate) struct End {
    outcome: Outcome,
    /// Who is charged with a drop.
    tenant: TenantId,
}

#[derive(Clone, Copy)]
enum Outcome {
    Pass(PassReason),
    Drop(DropReason),
}

impl From<PassReason> for End {
    #[inline(always)]
    fn from(reason: PassReason) -> Self {
        Self { outcome: Outcome::Pass(reason), tenant: TenantId::NONE }
    }
}

impl From<Discard> for End {
    #[inline(always)]
    fn from(Discard { reason, tenant }: Discard) -> Self {
        Self { outcome: Outcome::Drop(reason), tenant }
    }
}

impl<Plan> From<Result<Plan, End>> for Verdict<Plan> {
    #[inline(always)]
    fn from(result: Result<Plan, End>) -> Self {
        match result {
            Ok(plan) => Self::Forward(plan),
            Err(End { outcome: Outcome::Pass(reason), .. }) => Self::Pass(reason),
            Err(End { outcome: Outcome::Drop(reason), tenant }) => Self::Drop(reason.of(tenant)),
        }
    }
}

/// Declares a fieldless enum whose variants index counters and carry a label.
macro_rules! reasons {
    ($(#[$attr:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $label:literal,)+ }) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// All variants, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The label in the CLI, JSON and metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }

            /// One sentence for people.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii()),+ }
            }

            /// Position of the counter.
            #[inline(always)]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

reasons! {
    /// Why a packet was passed on unchanged.
    PassReason {
        /// The frame carries neither IPv4 nor IPv6.
        NotIp = "not_ip",
        /// The packet is IP but not GRE.
        NotGre = "not_gre",
        /// The packet is GRE, but not to the local address of a tunnel.
        NotLocal = "not_local",
        /// No tenant is bound to this local address, remote address and key.
        NoBinding = "no_binding",
        /// GRE version 1, which is PPTP (RFC 2637).
        Pptp = "pptp",
        /// The outer packet is a fragment; the kernel reassembles.
        Fragment = "fragment",
        /// There are IPv6 extension headers before GRE that the kernel must judge first.
        ExtensionHeaders = "extension_headers",
        /// The kernel's IPsec policies are to judge it first: it was not decrypted.
        Ipsec = "ipsec",
        /// A keepalive, which asks for an answer.
        Keepalive = "keepalive",
        /// A control protocol inside GRE: the answer to a keepalive, WCCP, ERSPAN, NHRP, MPLS or IS-IS.
        ControlPayload = "control_payload",
        /// The port belongs to no tenant.
        NoTenant = "no_tenant",
        /// The inner TTL or hop limit is zero.
        TtlExpired = "ttl_expired",
        /// XDP cannot deliver this one; the TC program decides again.
        LeftToTc = "left_to_tc",
        /// No transit rule is for this key and these addresses.
        NoRule = "no_rule",
        /// A packet in transit whose IP or GRE header is broken: its receiver is to judge it.
        Malformed = "malformed",
    }
}

reasons! {
    /// Why a packet was discarded.
    DropReason {
        /// Shorter than its IP or GRE header says.
        Truncated = "truncated",
        /// The outer IPv4 header checksum is wrong (RFC 1122 section 3.2.1.2).
        BadIpChecksum = "bad_ip_checksum",
        /// The GRE checksum is wrong (RFC 2784 section 2.3).
        BadChecksum = "bad_checksum",
        /// Older than the last packet, or without sequence number, in a tunnel with `--seq` (RFC 2890 section 2.2).
        OutOfSequence = "out_of_sequence",
        /// GRE version 2 or above.
        UnknownVersion = "unknown_version",
        /// The routing bit or a reserved bit 4-5 is set (RFC 2784 section 2.3).
        ReservedBits = "reserved_bits",
        /// The key is bound, but to another remote address.
        WrongRemote = "wrong_remote",
        /// No tenant is bound to this packet, and the mode is strict.
        NoBinding = "no_binding",
        /// Ethernet for an l3 tenant, or IP for an l2 tenant.
        WrongService = "wrong_service",
        /// The GRE protocol type is none that a tenant can carry.
        UnknownPayload = "unknown_payload",
        /// The inner IP version is not the one the GRE protocol type says.
        InnerVersion = "inner_version",
        /// The inner packet is longer than the room it came in, or shorter than its header.
        InnerLength = "inner_length",
        /// The inner destination is the outer source (RFC 2784 section 3.1), or the packet sent is one of the tunnel's own.
        Loop = "loop",
        /// The outer header says congestion, the inner cannot (RFC 6040 section 4.2).
        Ecn = "ecn",
        /// The inner source is none of those that the tenant's packets may come from.
        Source = "source",
        /// More than the tenant's rate.
        RateLimit = "rate_limit",
        /// None of the tenant's routes leads to the inner destination.
        Unreachable = "unreachable",
        /// The destination is where the packet came from; or the packet came by a tunnel, and would leave by one.
        SplitHorizon = "split_horizon",
        /// The tenant has no port.
        NoPort = "no_port",
        /// The inner packet does not fit the tunnel.
        PacketTooBig = "packet_too_big",
        /// A merged (GSO) packet, each of whose parts would need a GRE checksum or sequence number of its own.
        Unsegmented = "unsegmented",
        /// There is no route to the remote address.
        NoRoute = "no_route",
        /// The next hop's MAC address is not known yet, and the kernel cannot find it for this frame.
        Unresolved = "unresolved",
        /// The kernel refused to change the packet's headers.
        RewriteFailed = "rewrite_failed",
        /// The device that the packet should leave by is gone, or does not take it.
        RedirectFailed = "redirect_failed",
        /// The kernel, which is to protect what the tunnel sends by IPsec, does not take it.
        Ipsec = "ipsec",
    }
}

reasons! {
    /// What else there is to say of a packet that was forwarded.
    Notice {
        /// The outer header is ECN-capable, the inner is not (RFC 6040 figure 4).
        EcnMismatch = "ecn_mismatch",
        /// A frame, or a copy of one, went to another port of the same host: it was neither received nor sent.
        Switched = "switched",
        /// The destination is many, or unknown: a copy went to every tunnel and port, but back.
        Flooded = "flooded",
        /// It asked for a neighbour who is known, and was answered where it came from: it was neither received nor sent.
        Answered = "answered",
        /// Where the frame came from was not learned: the tenant has as many stations as it may, or the table is full.
        NotLearned = "not_learned",
    }
}

const _: () = {
    assert!(PassReason::ALL.len() <= REASONS);
    assert!(DropReason::ALL.len() <= REASONS);
};
