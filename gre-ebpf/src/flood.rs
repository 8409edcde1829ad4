//! Takes a frame round the members of its network.
//!
//! A frame that goes to several is received once more, by a device of ours. There `flood_tc` sends a copy on to the next member,
//! and does with what it has what this one wants. So every copy gets outer headers of its own, and no number of members is too
//! large. The packet's mark says who is next, its `tc_index` at which port the frame entered; no one else
//! sees them on that device.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, BPF_F_INGRESS},
    helpers::{bpf_check_mtu, bpf_clone_redirect, bpf_redirect},
    programs::TcContext,
};
use gre_common::{
    tables::{Hook, HookKey, IfIndex, Member, MemberId, TenantId},
    verdict::DropReason,
};

use crate::{
    count,
    maps::{PORT_TENANTS, flood_device},
    search,
};

/// What a frame on its round carries.
#[derive(Clone, Copy)]
pub struct Round {
    /// Who gets this copy.
    pub member: MemberId,
    /// [`PortUse::position`](gre_common::tables::PortUse::position) of the port where the frame entered, else 0.
    pub from: u32,
}

impl Round {
    /// Begins at `first`, for a frame that came by a tunnel.
    #[inline(always)]
    pub const fn of_received(first: MemberId) -> Self {
        Self { member: first, from: 0 }
    }

    /// Begins at `first`, for a frame that came by this port.
    #[inline(always)]
    pub fn of_port(first: MemberId, port: IfIndex) -> Self {
        let position = search::find(&port, &PORT_TENANTS).map_or(0, |used| used.position);
        Self { member: first, from: position }
    }

    /// What the packet carries.
    #[inline(always)]
    pub fn read(ctx: &TcContext) -> Self {
        // SAFETY: the kernel rewrites these accesses to the socket buffer's own fields.
        unsafe { Self { member: MemberId((*ctx.skb.skb).mark), from: (*ctx.skb.skb).tc_index } }
    }

    /// Has the packet carry it.
    #[inline(always)]
    fn write(self, ctx: &TcContext) {
        // SAFETY: as above.
        unsafe {
            (*ctx.skb.skb).mark = self.member.0;
            (*ctx.skb.skb).tc_index = self.from;
        }
    }

    /// Sends the packet round. Whether there is a device for it was asked before.
    #[inline(always)]
    pub fn begin(self, ctx: &TcContext) -> i32 {
        self.write(ctx);
        // SAFETY: the helper takes integers only.
        unsafe { bpf_redirect(flood_device().0, u64::from(BPF_F_INGRESS)) as i32 }
    }

    /// Sends a copy on to whoever comes behind this member.
    #[inline(always)]
    pub fn go_on(self, ctx: &TcContext, at: &Member) {
        send_copy_on(ctx.skb.skb, at.next.0, self.from, at.tenant.0);
    }

    /// Takes from the packet what no one else is to see.
    #[inline(always)]
    pub fn end(ctx: &TcContext) {
        Self { member: MemberId::NONE, from: 0 }.write(ctx);
    }
}

/// In a call of its own: what comes behind it is the same, whatever becomes of the copy. The verifier goes through it once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn send_copy_on(ctx: *mut __sk_buff, next: u32, from: u32, tenant: u32) -> i64 {
    let ctx = TcContext::new(ctx);
    let round = Round { member: MemberId(next), from };
    if round.member == MemberId::NONE {
        return 0;
    }
    round.write(&ctx);
    let device = flood_device();
    // SAFETY: the context is the one the kernel gave us.
    let refused = unsafe { bpf_clone_redirect(ctx.skb.skb, device.0, u64::from(BPF_F_INGRESS)) };
    if refused != 0 {
        let hook = HookKey { ifindex: device, hook: Hook::FLOOD_TC };
        count::dropped(hook, DropReason::RedirectFailed.of(TenantId(tenant)));
    }
    0
}

/// Whether there is such a device. A redirection to one that is gone would not tell.
#[inline(always)]
pub fn is_device(ctx: &TcContext, ifindex: IfIndex) -> bool {
    let mut mtu = 0;
    // The helper takes no index for the packet's own device. That the packet exceeds the MTU is a positive result.
    // SAFETY: the helper writes the device's MTU to `mtu`.
    ifindex != IfIndex::NONE
        && unsafe { bpf_check_mtu(ctx.as_ptr(), ifindex.0, &raw mut mtu, 0, 0) } >= 0
}
