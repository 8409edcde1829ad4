//! What became of packets. The words are those of `docs/reasons.md`.

use gre_common::verdict::DropReason;

use super::{Check, Counter, FINE, Judge, Severity, Told, Trouble, bad, when};

/// The rows.
pub const CHECKS: &[Check] = &[
    Check {
        id: "drops_now",
        severity: Severity::Warning,
        fine: "nothing was dropped while we looked",
        judge: Judge::Counter(now),
    },
    Check {
        id: "drops",
        severity: Severity::Note,
        fine: "few packets were dropped",
        judge: Judge::Counter(so_far),
    },
];

/// One dropped packet of so many is worth a note.
const RARE: u64 = 100;

fn now(counter: &Counter) -> Told {
    let Some((reason, count)) = most(&counter.recent) else { return FINE };
    let cause = format!("{count} dropped within a second as {}", describe(reason));
    bad(cause, hint(reason))
}

fn so_far(counter: &Counter) -> Told {
    if !counter.recent.is_empty() {
        return None;
    }
    let Some((reason, count)) = most(&counter.drops) else { return FINE };
    when(count.saturating_mul(RARE) >= counter.packets, || {
        let cause = format!("{count} of {} dropped as {}", counter.packets, describe(reason));
        Trouble::new(cause, hint(reason))
    })
}

/// The reason with the biggest share.
fn most(drops: &[(DropReason, u64)]) -> Option<(DropReason, u64)> {
    drops.iter().copied().max_by_key(|(_, count)| *count)
}

fn describe(reason: DropReason) -> String {
    format!("{}: {}", reason.label(), reason.description().trim_end_matches('.'))
}

/// Where to look.
fn hint(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Truncated | DropReason::BadIpChecksum | DropReason::InnerLength => {
            "tcpdump -ni UPLINK ip proto 47  # something on the way breaks packets, or makes them"
        }
        DropReason::BadChecksum => {
            "ethtool -K DEV tx off  # where a sender on this machine leaves checksums to a device; else the way breaks packets"
        }
        DropReason::OutOfSequence => {
            "xgre tunnel list  # has the other end --seq, too? then packets overtake each other on the way"
        }
        DropReason::UnknownVersion | DropReason::ReservedBits | DropReason::UnknownPayload => {
            "tcpdump -vni UPLINK ip proto 47  # the other end speaks another GRE than RFC 2784 and 2890"
        }
        DropReason::WrongRemote => {
            "tcpdump -ni UPLINK ip proto 47  # compare their source with REMOTE in `xgre tunnel list`; or somebody tries keys"
        }
        DropReason::NoBinding => {
            "xgre tenant list  # the other end sends a key that no tenant has; --strict drops it"
        }
        DropReason::WrongService | DropReason::InnerVersion => {
            "xgre tenant list  # one end is l2 (gretap), the other l3 (gre)"
        }
        DropReason::Loop => "ip route get REMOTE  # the tunnel's own packets go into it",
        DropReason::Ecn => {
            "nothing: routers on the way are congested, and the senders cannot be told"
        }
        DropReason::Source => {
            "xgre export  # allow-source of the tenant; or somebody forges addresses"
        }
        DropReason::RateLimit => "xgre export  # rate of the tenant",
        DropReason::Unreachable => "xgre route list  # no route of the tenant leads there",
        DropReason::SplitHorizon => {
            "xgre route list  # both ends think that the destination is at the other one; `xgre fdb list` for l2"
        }
        DropReason::NoPort => "xgre port list  # `xgre port add` is missing, or its device is gone",
        DropReason::PacketTooBig => {
            "ip link show dev PORT  # its MTU must not be larger than what the tunnel carries; senders find out by a few"
        }
        DropReason::Unsegmented => {
            "ethtool -K PORT tx off  # at the sender: --csum and --seq cannot be given to merged packets"
        }
        DropReason::NoRoute | DropReason::Unresolved => {
            "xgre tunnel list  # how far the next hop is known; ip route get REMOTE from LOCAL"
        }
        DropReason::RewriteFailed => {
            "dmesg  # the kernel had no room for the headers, as a rule no memory"
        }
        DropReason::RedirectFailed => {
            "xgre port list  # the device that packets should leave by is down, gone, or full"
        }
        DropReason::Ipsec => {
            "ip xfrm policy  # a policy blocks the tunnel's packets; /proc/net/xfrm_stat counts"
        }
    }
}

#[cfg(test)]
mod tests {
    use gre_common::verdict::DropReason;

    use crate::doctor::{
        facts::Counter,
        sample::{good, told},
    };

    fn counted(drops: &[(DropReason, u64)], recent: &[(DropReason, u64)]) -> Vec<&'static str> {
        let mut host = good();
        let [drops, recent] = [drops, recent].map(<[_]>::to_vec);
        host.counters.push(Counter {
            subject: "tenant blue".to_owned(),
            packets: 1000,
            drops,
            recent,
        });
        told(&host)
    }

    #[test]
    fn drops_are_told_once() {
        assert!(counted(&[], &[]).is_empty());
        assert!(counted(&[(DropReason::NoPort, 9)], &[]).is_empty(), "few");
        assert_eq!(counted(&[(DropReason::NoPort, 10)], &[]), ["drops"]);
        assert_eq!(counted(&[(DropReason::NoPort, 10)], &[(DropReason::NoPort, 1)]), ["drops_now"]);
    }

    #[test]
    fn the_biggest_share_is_told() {
        let mut host = good();
        let drops = vec![(DropReason::NoPort, 30), (DropReason::WrongRemote, 200)];
        let subject = "tenant blue".to_owned();
        host.counters.push(Counter { subject, packets: 1000, drops, recent: Vec::new() });
        let found = crate::doctor::judge(&host);
        let drops = found.iter().find(|it| it.id == "drops").expect("a row");
        let cause =
            "200 of 1000 dropped as wrong_remote: The key is bound, but to another remote address";
        assert_eq!(drops.cause, cause);
    }
}
