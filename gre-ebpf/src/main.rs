//! The kernel side of xgre, thin: each program asks `gre-common` for a verdict and carries it out.
//!
//! - [`packet`] is the only file that touches packet pointers.
//! - [`maps`] has the maps, and the tables that decisions read.
//! - [`rewrite`] makes or takes room and writes headers.
//! - [`fragment`] hands to the slow path what is to be cut.
//! - [`icmp`] tells senders what fits.
//! - [`ipsec`] knows what the kernel has decrypted.
//! - [`mss`] changes what TCP segments may carry.
//! - [`count`] has the counters, [`sequence`] the sequence numbers, [`pace`] how often things may be done.
//! - [`checksum`] adds up the bytes of a packet.
//! - [`capture`] shows packets to who wants to see them.
//! - [`fdb`] learns where stations are, [`flood`] takes a frame to all of them.
//! - [`route`] finds ways, [`guard`] knows from whom packets may come, [`limit`] how many.
//! - [`neighbour`] answers who asks for a neighbour.
//! - [`flow`] tells inner flows apart, [`steer`] spreads them over CPUs.
//! - [`search`] looks keys up.
//! - `object` has what every object for the kernel needs.
//! - [`verifier`] tells the verifier what it does not see.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]
#![cfg_attr(
    not(target_arch = "bpf"),
    allow(dead_code, reason = "for the host this crate is only linted")
)]
#![allow(
    missing_docs,
    clippy::needless_pass_by_value,
    reason = "aya's macros make functions without documentation, and take contexts by value"
)]

mod capture;
mod checksum;
mod count;
mod fdb;
mod flood;
mod flow;
mod fragment;
mod guard;
mod icmp;
mod ipsec;
mod limit;
mod maps;
mod mss;
mod neighbour;
#[cfg(target_arch = "bpf")]
mod object;
mod pace;
mod packet;
mod rewrite;
mod route;
mod search;
mod sequence;
mod steer;
mod verifier;

use core::ptr;

use aya_ebpf::{
    bindings::{
        TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_redir_neigh, bpf_redir_neigh__bindgen_ty_1,
        xdp_action::{XDP_DROP, XDP_PASS},
    },
    helpers::{bpf_redirect, bpf_redirect_neigh},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use aya_log_ebpf::debug;
use gre_common::{
    bridge::{self, Way},
    decap::{Decap, Payload, decap},
    encap::{Encap, encap},
    packet::Packet,
    tables::{
        Binding, Delivery, Fate, Hook, HookKey, HopState, IfIndex, NextHop, Service, Tables as _,
        Tenant, TenantId, TenantOptions, TransitAction, TunnelId, TunnelOptions, Via,
    },
    transit::transit,
    verdict::{Discard, DropReason, Notice, PassReason, Verdict},
    wire::{
        address::Address,
        be32::Be32,
        ethernet::{self, EtherType},
    },
};

use crate::{
    capture::Sample,
    flood::{Round, is_device},
    maps::{
        Maps, PORT_DEVICES, UPLINK_DEVICES, cookie, flood_device, is_generic, is_shadow, member,
    },
    packet::{TcPacket, XdpPacket, read_handover, restore_link_header},
    route::address_to_port,
};

/// On to the programs and filters behind this one, then to the stack; `TC_ACT_OK` would skip them.
const GO_ON: i32 = TC_ACT_UNSPEC;

/// Decapsulates in the driver.
#[xdp(frags)]
pub fn uplink_xdp(ctx: XdpContext) -> u32 {
    uplink_xdp_verdict(&ctx, Hook::UPLINK_XDP, &XdpPacket::with_frags(&ctx))
}

/// The same for kernels before 5.18, where XDP knows no fragments.
#[xdp]
pub fn uplink_xdp_linear(ctx: XdpContext) -> u32 {
    uplink_xdp_verdict(&ctx, Hook::UPLINK_XDP, &XdpPacket::linear(&ctx))
}

/// The same on the CPU to which `uplink_xdp` has sent a frame.
#[xdp(map = "cpumap", frags)]
pub fn uplink_cpu(ctx: XdpContext) -> u32 {
    uplink_xdp_verdict(&ctx, Hook::UPLINK_CPU, &XdpPacket::with_frags(&ctx))
}

/// See [`uplink_xdp_linear`].
#[xdp(map = "cpumap")]
pub fn uplink_cpu_linear(ctx: XdpContext) -> u32 {
    uplink_xdp_verdict(&ctx, Hook::UPLINK_CPU, &XdpPacket::linear(&ctx))
}

/// Decapsulates what XDP did not take, and hands over what it did.
#[classifier]
pub fn uplink_tc(ctx: TcContext) -> i32 {
    let hook = HookKey { ifindex: tc_ifindex(&ctx), hook: Hook::UPLINK_TC };
    if let Some(handover) = read_handover(&ctx)
        && (handover.cookie, handover.uplink) == (cookie(), hook.ifindex)
    {
        // The underlay's, which the NIC took out of the frame before XDP saw it.
        return match rewrite::pop_stripped_vlan(&ctx) {
            Ok(()) => redirect(handover.port),
            Err(rewrite::Refused) => drop_tc(&ctx, hook, DropReason::RewriteFailed.unattributed()),
        };
    }
    if is_generic() && restore_link_header(&ctx).is_none() {
        return pass_tc(&ctx, hook, PassReason::NotIp);
    }
    let packet = TcPacket::new(&ctx);
    match decap(&packet, &Maps) {
        Verdict::Pass(reason) => pass_tc(&ctx, hook, reason),
        Verdict::Drop(discard) => drop_tc(&ctx, hook, discard),
        Verdict::Forward(plan) if !plan.is_in_order(&packet, sequence::advance) => {
            drop_tc(&ctx, hook, DropReason::OutOfSequence.of(plan.binding.tenant))
        }
        Verdict::Forward(plan) => {
            let mut via = Via::NONE;
            if plan.binding.asks(&packet, TunnelOptions::NETWORK) {
                match fdb::receive_tc(&ctx, plan.strip, plan.binding) {
                    Ok(found) => via = found.settled(&packet),
                    Err(reason) => return drop_tc(&ctx, hook, reason.of(plan.binding.tenant)),
                }
            }
            if plan.binding.asks(&packet, TunnelOptions::LIMITED)
                && !limit::may_receive(plan.binding.tenant, plan.inner_len)
            {
                return drop_tc(&ctx, hook, DropReason::RateLimit.of(plan.binding.tenant));
            }
            capture::tc(&ctx, hook, || Sample::received(plan.binding));
            if is_shadow() {
                count::received(plan.binding, plan.inner_len, plan.notice);
                return GO_ON;
            }
            if plan.is_syn {
                mss::clamp(&ctx, &plan.syn());
            }
            let is_l2 = plan.payload == Payload::Ethernet;
            match rewrite::decap_tc(&ctx, &plan).and_then(|()| readdress(&ctx, is_l2, via)) {
                Ok(()) => {
                    count::received(plan.binding, plan.inner_len, plan.notice);
                    let (tenant, bytes) = told(plan.binding.tenant, plan.inner_len);
                    debug!(&ctx, "uplink_tc: tenant {} gets {} bytes", tenant, bytes);
                    deliver(&ctx, plan.binding, via)
                }
                Err(rewrite::Refused) => {
                    drop_tc(&ctx, hook, DropReason::RewriteFailed.of(plan.binding.tenant))
                }
            }
        }
    }
}

/// Encapsulates, in the driver, what a tenant sends over a wire.
#[xdp(frags)]
pub fn port_xdp(ctx: XdpContext) -> u32 {
    port_xdp_verdict(&ctx, &XdpPacket::with_frags(&ctx))
}

/// The same for kernels before 5.18, where XDP knows no fragments.
#[xdp]
pub fn port_xdp_linear(ctx: XdpContext) -> u32 {
    port_xdp_verdict(&ctx, &XdpPacket::linear(&ctx))
}

/// Encapsulates what a tenant sends.
#[classifier]
pub fn port_tc(ctx: TcContext) -> i32 {
    let hook = HookKey { ifindex: tc_ifindex(&ctx), hook: Hook::PORT_TC };
    let packet = TcPacket::new(&ctx);
    let way = match bridge::from_port(&packet, &Maps, hook.ifindex) {
        Verdict::Pass(reason) => return pass_tc(&ctx, hook, reason),
        Verdict::Drop(discard) => return drop_tc(&ctx, hook, discard),
        Verdict::Forward(way) => way,
    };
    if way.tenant.learns() {
        fdb::learn_tc(&ctx, 0, way.id, Via::port(hook.ifindex));
    }
    let Some(tunnel) = way.via.to_tunnel() else { return spread(&ctx, hook, &way) };
    match encap(&packet, &Maps, &way, tunnel) {
        Verdict::Pass(reason) => pass_tc(&ctx, hook, reason),
        Verdict::Drop(discard) => {
            let reason = packet.forget(discard.reason as u32);
            let is_too_big = !is_shadow() && reason == DropReason::PacketTooBig as u32;
            if is_too_big && fragment::hand_up(&ctx, discard.tenant().unwrap_or(TenantId::NONE)) {
                // Counted there.
                return TC_ACT_SHOT;
            }
            let dropped = drop_tc(&ctx, hook, discard);
            // The answer goes back in place of the packet.
            let is_answered = is_too_big && icmp::answer(&ctx, way.id, tunnel);
            if is_answered { redirect(hook.ifindex) } else { dropped }
        }
        Verdict::Forward(plan) => send_tc(&ctx, hook, way.tenant, &plan),
    }
}

/// Does what one member of a network wants with a frame that goes to several, and sends a copy on to the next.
#[classifier]
pub fn flood_tc(ctx: TcContext) -> i32 {
    let hook = HookKey { ifindex: tc_ifindex(&ctx), hook: Hook::FLOOD_TC };
    let round = Round::read(&ctx);
    let Some(&to) = member(round.member) else {
        return drop_tc(&ctx, hook, DropReason::RedirectFailed.unattributed());
    };
    round.go_on(&ctx, &to);
    Round::end(&ctx);
    let Some(tunnel) = to.via.to_tunnel() else {
        let is_source = to.position == round.from;
        return if is_source { TC_ACT_SHOT } else { switch(to.tenant, to.via) };
    };
    let Some(tenant) = Maps.tenant(to.tenant) else {
        return drop_tc(&ctx, hook, DropReason::RedirectFailed.unattributed());
    };
    let way = Way { id: to.tenant, tenant, via: to.via };
    match encap(&TcPacket::new(&ctx), &Maps, &way, tunnel) {
        Verdict::Pass(reason) => pass_tc(&ctx, hook, reason),
        Verdict::Drop(discard) => drop_tc(&ctx, hook, discard),
        Verdict::Forward(plan) => send_tc(&ctx, hook, tenant, &plan),
    }
}

/// Counts, drops or redirects packets whose tunnel ends elsewhere.
#[classifier]
pub fn transit_tc(ctx: TcContext) -> i32 {
    let hook = HookKey { ifindex: tc_ifindex(&ctx), hook: Hook::TRANSIT_TC };
    let packet = TcPacket::new(&ctx);
    let rule = match transit(&packet, &Maps, hook.ifindex) {
        Ok(rule) => rule,
        Err(reason) => return pass_tc(&ctx, hook, reason),
    };
    let redirected = rule.action == TransitAction::REDIRECT;
    if redirected && !is_device(&ctx, rule.target) {
        return drop_tc(&ctx, hook, DropReason::RedirectFailed.unattributed());
    }
    capture::tc(&ctx, hook, || Sample::bare(Fate::ruled(rule.action)));
    count::matched(rule, packet.len());
    if is_shadow() {
        return GO_ON;
    }
    match rule.action {
        TransitAction::REDIRECT => redirect(rule.target),
        TransitAction::DROP => TC_ACT_SHOT,
        _ => GO_ON,
    }
}

/// Puts a frame that came by a port, and leaves by no tunnel or by many, on its way; or answers it.
#[inline(always)]
fn spread(ctx: &TcContext, hook: HookKey, way: &Way<'_>) -> i32 {
    if is_shadow() {
        let notice = match way.via {
            Via::TO_ANSWER => Notice::Answered,
            via if via.to_members().is_some() => Notice::Flooded,
            _ => Notice::Switched,
        };
        return left_alone(ctx, hook, way.id, notice);
    }
    if way.via == Via::TO_ANSWER {
        show(ctx, hook, way.id, Notice::Answered);
        if !neighbour::answer(ctx, way.id) {
            return drop_tc(ctx, hook, DropReason::RewriteFailed.of(way.id));
        }
        count::noticed(way.id, Notice::Answered);
        return redirect(hook.ifindex);
    }
    let Some(first) = way.via.to_members() else {
        show(ctx, hook, way.id, Notice::Switched);
        return match readdress(ctx, way.tenant.service == Service::L2, way.via) {
            Ok(()) => switch(way.id, way.via),
            Err(rewrite::Refused) => drop_tc(ctx, hook, DropReason::RewriteFailed.of(way.id)),
        };
    };
    if !is_device(ctx, flood_device()) {
        return drop_tc(ctx, hook, DropReason::RedirectFailed.of(way.id));
    }
    show(ctx, hook, way.id, Notice::Flooded);
    count::noticed(way.id, Notice::Flooded);
    Round::of_port(first, hook.ifindex).begin(ctx)
}

/// Counts what would have become of a frame that leaves by no tunnel or by many.
#[inline(always)]
fn left_alone(ctx: &TcContext, hook: HookKey, tenant: TenantId, notice: Notice) -> i32 {
    show(ctx, hook, tenant, notice);
    count::noticed(tenant, notice);
    GO_ON
}

/// Shows a frame that leaves by no tunnel or by many.
#[inline(always)]
fn show(ctx: &TcContext, hook: HookKey, tenant: TenantId, notice: Notice) {
    capture::tc(ctx, hook, || Sample::new(Fate::noticed(notice), tenant, TunnelId::NONE));
}

/// Gives a frame the addresses of its way, where a tenant's frames have none of their own.
#[inline(always)]
fn readdress(ctx: &TcContext, is_l2: bool, via: Via) -> Result<(), rewrite::Refused> {
    match via.to_port() {
        Some(port) if !is_l2 && address_to_port(ctx.skb.skb, port.0) != 0 => Err(rewrite::Refused),
        _ => Ok(()),
    }
}

/// Hands a frame to a port of the host where it came from.
#[inline(always)]
fn switch(tenant: TenantId, via: Via) -> i32 {
    count::noticed(tenant, Notice::Switched);
    redirect(via.to_port().unwrap_or(IfIndex::NONE))
}

/// Delivers what was received: to the only port where there is no other way.
#[inline(always)]
fn deliver(ctx: &TcContext, binding: &Binding, via: Via) -> i32 {
    if let Some(first) = via.to_members() {
        count::noticed(binding.tenant, Notice::Flooded);
        return Round::of_received(first).begin(ctx);
    }
    redirect(via.to_port().unwrap_or(binding.port.ifindex))
}

/// Encapsulates as planned, and sends.
#[inline(always)]
fn send_tc(ctx: &TcContext, hook: HookKey, tenant: &Tenant, plan: &Encap<'_>) -> i32 {
    if tenant.options.has(TenantOptions::LIMITED) && !limit::may_send(plan.tenant, plan.inner_len) {
        return drop_tc(ctx, hook, DropReason::RateLimit.of(plan.tenant));
    }
    capture::tc(ctx, hook, || Sample::new(Fate::SENT, plan.tenant, plan.tunnel_id));
    if is_shadow() {
        count::sent(plan.tenant, plan.inner_len);
        return GO_ON;
    }
    match rewrite::encap_tc(ctx, plan, sequence_number(plan)) {
        Ok(()) => {
            count::sent(plan.tenant, plan.inner_len);
            if plan.is_syn {
                mss::clamp(ctx, &plan.syn());
            }
            let (tenant, bytes) = told(plan.tenant, plan.inner_len);
            debug!(ctx, "tc: tenant {} sends {} bytes", tenant, bytes);
            send(plan)
        }
        Err(rewrite::Refused) => drop_tc(ctx, hook, DropReason::RewriteFailed.of(plan.tenant)),
    }
}

#[inline(always)]
fn uplink_xdp_verdict(ctx: &XdpContext, hook: Hook, packet: &XdpPacket<'_>) -> u32 {
    let hook = HookKey { ifindex: IfIndex(ctx.ingress_ifindex() as u32), hook };
    match decap(packet, &Maps) {
        Verdict::Pass(reason) => pass_xdp(ctx, packet, hook, reason),
        Verdict::Drop(discard) => drop_xdp(ctx, packet, hook, discard),
        // TC lowers the MSS.
        Verdict::Forward(plan) if plan.is_syn => pass_xdp(ctx, packet, hook, PassReason::LeftToTc),
        Verdict::Forward(plan) => {
            if hook.hook == Hook::UPLINK_XDP
                && let Some(action) = steer::to_other_cpu(packet, &plan)
            {
                // Counted there.
                return action;
            }
            let Some(way) = way_to_port(ctx, hook.hook, packet, &plan) else {
                return pass_xdp(ctx, packet, hook, PassReason::LeftToTc);
            };
            if !plan.is_in_order(packet, sequence::advance) {
                return drop_xdp(
                    ctx,
                    packet,
                    hook,
                    DropReason::OutOfSequence.of(plan.binding.tenant),
                );
            }
            if plan.binding.asks(packet, TunnelOptions::LIMITED)
                && !limit::may_receive(plan.binding.tenant, plan.inner_len)
            {
                return drop_xdp(ctx, packet, hook, DropReason::RateLimit.of(plan.binding.tenant));
            }
            if plan.binding.asks(packet, TunnelOptions::LEARN) {
                let via = Via::tunnel(plan.binding.tunnel);
                fdb::learn_xdp(ctx, plan.strip, plan.binding.tenant, via);
            }
            capture::xdp(packet, hook, || Sample::received(plan.binding));
            match deliver_xdp(ctx, hook.ifindex, &plan, way) {
                Ok(action) => {
                    count::received(plan.binding, plan.inner_len, plan.notice);
                    let (tenant, bytes) = told(plan.binding.tenant, plan.inner_len);
                    debug!(ctx, "uplink_xdp: tenant {} gets {} bytes", tenant, bytes);
                    action
                }
                Err(reason) => drop_xdp(ctx, packet, hook, reason.of(plan.binding.tenant)),
            }
        }
    }
}

#[inline(always)]
fn port_xdp_verdict(ctx: &XdpContext, packet: &XdpPacket<'_>) -> u32 {
    let hook = HookKey { ifindex: IfIndex(ctx.ingress_ifindex() as u32), hook: Hook::PORT_XDP };
    let way = match bridge::from_port(packet, &Maps, hook.ifindex) {
        Verdict::Pass(reason) => return pass_xdp(ctx, packet, hook, reason),
        Verdict::Drop(discard) => return drop_xdp(ctx, packet, hook, discard),
        Verdict::Forward(way) => way,
    };
    // TC makes copies, and hands frames to other ports.
    let Some(tunnel) = way.via.to_tunnel() else {
        return pass_xdp(ctx, packet, hook, PassReason::LeftToTc);
    };
    match encap(packet, &Maps, &way, tunnel) {
        Verdict::Pass(reason) => pass_xdp(ctx, packet, hook, reason),
        // TC tells the sender.
        Verdict::Drop(Discard { reason: DropReason::PacketTooBig, .. }) => {
            pass_xdp(ctx, packet, hook, PassReason::LeftToTc)
        }
        Verdict::Drop(discard) => drop_xdp(ctx, packet, hook, discard),
        Verdict::Forward(plan) if plan.is_syn => pass_xdp(ctx, packet, hook, PassReason::LeftToTc),
        Verdict::Forward(plan) => {
            let Some(action) = way_to_uplink(ctx, packet, &plan) else {
                return pass_xdp(ctx, packet, hook, PassReason::LeftToTc);
            };
            if way.tenant.options.has(TenantOptions::LIMITED)
                && !limit::may_send(way.id, plan.inner_len)
            {
                return drop_xdp(ctx, packet, hook, DropReason::RateLimit.of(way.id));
            }
            if way.tenant.learns() {
                fdb::learn_xdp(
                    ctx,
                    plan.headers.bytes() + ethernet::HEADER_LEN,
                    way.id,
                    Via::port(hook.ifindex),
                );
            }
            capture::xdp(packet, hook, || {
                let sample = Sample::new(Fate::SENT, plan.tenant, plan.tunnel_id);
                sample.behind(rewrite::room(&plan), plan.frame_len())
            });
            match rewrite::encap_xdp(ctx, &plan, sequence_number(&plan)) {
                Ok(()) => {
                    count::sent(plan.tenant, plan.inner_len);
                    let (tenant, bytes) = told(plan.tenant, plan.inner_len);
                    debug!(ctx, "port_xdp: tenant {} sends {} bytes", tenant, bytes);
                    action
                }
                Err(rewrite::Refused) => {
                    drop_xdp(ctx, packet, hook, DropReason::RewriteFailed.of(plan.tenant))
                }
            }
        }
    }
}

/// Makes room for the outer headers and has the kernel note the uplink, whose action is returned. `None`: XDP
/// cannot send this packet, and nothing has changed.
#[inline(always)]
fn way_to_uplink(ctx: &XdpContext, packet: &XdpPacket<'_>, plan: &Encap<'_>) -> Option<u32> {
    // Few devices transmit fragments.
    let hop = &plan.tunnel.next_hop;
    if hop.state != HopState::RESOLVED || !packet.holds(plan.frame_len()) {
        return None;
    }
    let action = UPLINK_DEVICES.redirect(hop.ifindex.0, u64::from(XDP_PASS)).ok()?;
    rewrite::reserve_headers(ctx, plan).ok().map(|()| action)
}

/// How XDP gets a packet to its port; `None`: it cannot. Nothing has changed then.
#[inline(always)]
fn way_to_port(
    ctx: &XdpContext,
    hook: Hook,
    packet: &XdpPacket<'_>,
    plan: &Decap<'_>,
) -> Option<Delivery> {
    // TC finds the port.
    if plan.binding.asks(packet, TunnelOptions::SWITCHED) {
        return None;
    }
    if is_generic() {
        // Metadata does not survive the copies that generic XDP makes. Its redirect discards what is
        // longer than the device's MTU: merged packets.
        return rewrite::fits(ctx, plan).then_some(Delivery::REDIRECT);
    }
    match plan.binding.port.delivery {
        // Few devices transmit fragments.
        Delivery::REDIRECT => packet.holds(plan.frame_len()).then_some(Delivery::REDIRECT),
        // Where `uplink_cpu` passes a frame it loses its metadata (before Linux 6.15).
        _ if hook == Hook::UPLINK_CPU => None,
        // The stack takes a tag out of the frame; `uplink_tc` could not tell it from the underlay's.
        _ if is_tagged(packet, plan) => None,
        _ => rewrite::reserve_handover(ctx).is_ok().then_some(Delivery::PASS),
    }
}

/// Whether the tenant's frame begins with a VLAN tag.
#[inline(always)]
fn is_tagged(packet: &XdpPacket<'_>, plan: &Decap<'_>) -> bool {
    plan.payload == Payload::Ethernet
        && packet
            .read(plan.strip + ethernet::TYPE_OFFSET)
            .is_some_and(|ether_type| EtherType::from_be_bytes(ether_type).is_vlan())
}

#[inline(always)]
fn deliver_xdp(
    ctx: &XdpContext,
    uplink: IfIndex,
    plan: &Decap<'_>,
    way: Delivery,
) -> Result<u32, DropReason> {
    rewrite::decap_xdp(ctx, plan).map_err(|rewrite::Refused| DropReason::RewriteFailed)?;
    if way == Delivery::REDIRECT {
        let sent = PORT_DEVICES.redirect(plan.binding.port.ifindex.0, u64::from(XDP_DROP));
        return sent.map_err(|_| DropReason::RedirectFailed);
    }
    rewrite::hand_over(ctx, uplink, &plan.binding.port)
        .map_err(|rewrite::Refused| DropReason::RewriteFailed)?;
    Ok(XDP_PASS)
}

#[inline(always)]
fn pass_xdp(ctx: &XdpContext, packet: &XdpPacket<'_>, hook: HookKey, reason: PassReason) -> u32 {
    capture::xdp(packet, hook, || Sample::bare(Fate::passed(reason)));
    count::passed(hook, reason);
    debug!(ctx, "xdp: pass, {}", reason.label());
    XDP_PASS
}

#[inline(always)]
fn drop_xdp(ctx: &XdpContext, packet: &XdpPacket<'_>, hook: HookKey, discard: Discard) -> u32 {
    capture::xdp(packet, hook, || Sample::dropped(discard));
    count::dropped(hook, discard);
    debug!(ctx, "xdp: drop, {}", discard.reason.label());
    XDP_DROP
}

#[inline(always)]
fn pass_tc(ctx: &TcContext, hook: HookKey, reason: PassReason) -> i32 {
    capture::tc(ctx, hook, || Sample::bare(Fate::passed(reason)));
    count::passed(hook, reason);
    debug!(ctx, "tc: pass, {}", reason.label());
    GO_ON
}

#[inline(always)]
fn drop_tc(ctx: &TcContext, hook: HookKey, discard: Discard) -> i32 {
    capture::tc(ctx, hook, || Sample::dropped(discard));
    count::dropped(hook, discard);
    debug!(ctx, "tc: drop, {}", discard.reason.label());
    if is_shadow() { GO_ON } else { TC_ACT_SHOT }
}

/// Sends an encapsulated packet on its way.
#[inline(always)]
fn send(plan: &Encap<'_>) -> i32 {
    let hop = &plan.tunnel.next_hop;
    match hop.state {
        HopState::RESOLVED => redirect(hop.ifindex),
        _ => redirect_to_neighbour(hop),
    }
}

/// What a packet says of its place in the order, as it stands on the wire; 0 where it says nothing.
#[inline(always)]
fn sequence_number(plan: &Encap<'_>) -> Be32 {
    if !plan.headers.fields.sequence() {
        return Be32::default();
    }
    sequence::next(plan.tenant).to_be_bytes().into()
}

/// Transmits on a device.
#[inline(always)]
fn redirect(ifindex: IfIndex) -> i32 {
    // SAFETY: the helper takes integers only.
    unsafe { bpf_redirect(ifindex.0, 0) as i32 }
}

/// Transmits on a device after the kernel has found the next hop's MAC address.
#[inline(always)]
fn redirect_to_neighbour(hop: &NextHop) -> i32 {
    const AF_INET: u32 = 2;
    const AF_INET6: u32 = 10;
    if hop.address == Address::NONE {
        // The kernel looks the route up itself.
        // SAFETY: without parameters the helper takes integers only.
        return unsafe { bpf_redirect_neigh(hop.ifindex.0, ptr::null_mut(), 0, 0) as i32 };
    }
    let is_v4 = hop.address.is_v4();
    let [a, b, c, d] = hop.address.words().map(Be32::as_read);
    let mut neighbour = bpf_redir_neigh {
        nh_family: if is_v4 { AF_INET } else { AF_INET6 },
        // An IPv4 address stands in the first of the words.
        __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 {
            ipv6_nh: if is_v4 { [d, 0, 0, 0] } else { [a, b, c, d] },
        },
    };
    let len = size_of::<bpf_redir_neigh>() as i32;
    // SAFETY: `neighbour` is a complete `bpf_redir_neigh` and outlives the call.
    unsafe { bpf_redirect_neigh(hop.ifindex.0, &raw mut neighbour, len, 0) as i32 }
}

/// What a log line tells. It takes references, and the compiler would keep a whole plan in memory for one to a
/// field of it.
#[inline(always)]
fn told(tenant: TenantId, bytes: usize) -> (u32, usize) {
    (tenant.0, bytes)
}

#[inline(always)]
fn tc_ifindex(ctx: &TcContext) -> IfIndex {
    // SAFETY: the kernel rewrites this access to the socket buffer's own field.
    IfIndex(unsafe { (*ctx.skb.skb).ifindex })
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
