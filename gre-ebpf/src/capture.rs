//! Shows packets to `xgre capture`, which loads programs of its own: of all this others have nothing but a constant that is 0,
//! and the verifier takes away what depends on it.

use core::ffi::c_void;

use aya_ebpf::{
    Global,
    bindings::{__sk_buff, BPF_F_CURRENT_CPU, xdp_md},
    btf_maps::PerfEventByteArray,
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns, bpf_perf_event_output},
    macros::btf_map,
    programs::TcContext,
};
use gre_common::{
    packet::Packet as _,
    tables::{Binding, Captured, Fate, Hook, HookKey, IfIndex, Sight, TenantId, TunnelId},
    verdict::Discard,
    wire::be32::Be32,
};

use crate::packet::{XdpPacket, stripped_vlan};

/// Frames, behind a [`Captured`] each: a ring for each CPU.
#[btf_map]
pub static CAPTURED: PerfEventByteArray = PerfEventByteArray::new();

/// Most bytes that are taken of a frame; 0: nobody captures. Set at load, as are those below.
#[unsafe(no_mangle)]
static CAPTURE: Global<u32> = Global::new(0);
/// Of how many packets one is taken, by chance.
#[unsafe(no_mangle)]
static CAPTURE_ONE_IN: Global<u32> = Global::new(1);
/// Which: a [`Sight`].
#[unsafe(no_mangle)]
static CAPTURE_SIGHT: Global<u32> = Global::new(0);
/// Only this tenant's packets; [`TenantId::NONE`]: all.
#[unsafe(no_mangle)]
static CAPTURE_TENANT: Global<u32> = Global::new(TenantId::NONE.0);
/// Only this tunnel's packets, and those of which the tunnel is not known; [`TunnelId::NONE`]: all.
#[unsafe(no_mangle)]
static CAPTURE_TUNNEL: Global<u32> = Global::new(TunnelId::NONE.0);

/// What is known of a packet.
#[derive(Clone, Copy)]
pub struct Sample {
    fate: Fate,
    tenant: TenantId,
    tunnel: TunnelId,
    /// Bytes without meaning before the frame.
    room: usize,
    /// Bytes of the frame; 0: the packet is asked.
    len: usize,
}

impl Sample {
    /// Of a tenant's packet.
    #[inline(always)]
    pub const fn new(fate: Fate, tenant: TenantId, tunnel: TunnelId) -> Self {
        Self { fate, tenant, tunnel, room: 0, len: 0 }
    }

    /// Of a packet that is decapsulated.
    #[inline(always)]
    pub fn received(binding: &Binding) -> Self {
        Self::new(Fate::RECEIVED, binding.tenant, binding.tunnel)
    }

    /// Of a packet about which no more is known.
    #[inline(always)]
    pub const fn bare(fate: Fate) -> Self {
        Self::new(fate, TenantId::NONE, TunnelId::NONE)
    }

    /// Of a packet that is discarded.
    #[inline(always)]
    pub fn dropped(discard: Discard) -> Self {
        let tenant = discard.tenant().unwrap_or(TenantId::NONE);
        Self::new(Fate::dropped(discard.reason), tenant, TunnelId::NONE)
    }

    /// Of a frame of so many bytes that stands behind room for others.
    #[inline(always)]
    pub const fn behind(self, room: usize, len: usize) -> Self {
        Self { room, len, ..self }
    }

    /// Whether somebody wants to see it.
    #[inline(always)]
    fn is_wanted(&self) -> bool {
        let is = |wanted: u32, none: u32, id: u32| wanted == none || wanted == id;
        let tunnel = self.tunnel.0;
        Sight::from_word(CAPTURE_SIGHT.load()).takes_in(self.fate)
            && is(CAPTURE_TENANT.load(), TenantId::NONE.0, self.tenant.0)
            && (tunnel == TunnelId::NONE.0
                || is(CAPTURE_TUNNEL.load(), TunnelId::NONE.0, tunnel))
            // SAFETY: the helper takes no argument and cannot fail.
            && unsafe { bpf_get_prandom_u32() } % CAPTURE_ONE_IN.load().max(1) == 0
    }
}

/// Shows a packet as it is now. Where nobody captures, `sample` is not asked, and what it would have read is not read.
#[inline(always)]
pub fn tc(ctx: &TcContext, hook: HookKey, sample: impl FnOnce() -> Sample) {
    if CAPTURE.load() == 0 {
        return;
    }
    let sample = sample();
    if sample.is_wanted() {
        let Sample { fate, tenant, tunnel, .. } = sample;
        capture_tc(ctx.skb.skb, hook.hook.code(), fate.word(), tenant.0, tunnel.0);
    }
}

/// Shows a packet as it is now; see [`tc`].
#[inline(always)]
pub fn xdp(packet: &XdpPacket<'_>, hook: HookKey, sample: impl FnOnce() -> Sample) {
    if CAPTURE.load() == 0 {
        return;
    }
    let sample = sample();
    if sample.is_wanted() {
        let Sample { fate, tenant, tunnel, room, len } = sample;
        let len = if len == 0 { packet.len() } else { len };
        let shape = Shape { hook: hook.hook, room, len };
        capture_xdp(packet.context(), shape.packed(), fate.word(), tenant.0, tunnel.0);
    }
}

/// What a call has too few registers for.
#[derive(Clone, Copy)]
struct Shape {
    hook: Hook,
    room: usize,
    len: usize,
}

impl Shape {
    const HOOK: u32 = 4;
    const ROOM: u32 = 8;

    #[inline(always)]
    const fn packed(self) -> u32 {
        let Self { hook, room, len } = self;
        ((len as u32) << Self::ROOM | room as u32) << Self::HOOK | hook.code()
    }

    #[inline(always)]
    fn unpacked(word: u32) -> Self {
        let field = |bits: u32, width: u32| bits & ((1 << width) - 1);
        Self {
            hook: Hook::from_code(field(word, Self::HOOK)),
            room: field(word >> Self::HOOK, Self::ROOM) as usize,
            len: (word >> (Self::HOOK + Self::ROOM)) as usize,
        }
    }
}

// Functions of global linkage: the verifier goes through each once.

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn capture_tc(
    ctx: *mut __sk_buff,
    hook: u32,
    fate: u32,
    tenant: u32,
    tunnel: u32,
) -> i64 {
    let tc = TcContext::new(ctx);
    // SAFETY: the kernel rewrites these accesses to the socket buffer's own fields.
    let (ifindex, len) = unsafe { ((*ctx).ifindex, (*ctx).len) };
    let shape = Shape { hook: Hook::from_code(hook), room: 0, len: len as usize };
    let vlan = stripped_vlan(&tc).unwrap_or_default().into();
    let ids = (TenantId(tenant), TunnelId(tunnel));
    output(ctx.cast(), IfIndex(ifindex), shape, Fate::from_word(fate), ids, vlan)
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn capture_xdp(
    ctx: *mut xdp_md,
    shape: u32,
    fate: u32,
    tenant: u32,
    tunnel: u32,
) -> i64 {
    // SAFETY: the kernel rewrites this access to the frame's own field.
    let ifindex = IfIndex(unsafe { (*ctx).ingress_ifindex });
    let ids = (TenantId(tenant), TunnelId(tunnel));
    let (shape, fate) = (Shape::unpacked(shape), Fate::from_word(fate));
    output(ctx.cast(), ifindex, shape, fate, ids, Be32::default())
}

#[inline(always)]
fn output(
    ctx: *mut c_void,
    ifindex: IfIndex,
    Shape { hook, room, len }: Shape,
    fate: Fate,
    (tenant, tunnel): (TenantId, TunnelId),
    vlan: Be32,
) -> i64 {
    let captured = ((room + len) as u32).min(CAPTURE.load());
    let (len, room, reserved) = (len as u32, room as u32, 0);
    // SAFETY: the helper takes no argument and cannot fail.
    let time = unsafe { bpf_ktime_get_ns() };
    let mut note =
        Captured { time, ifindex, hook, fate, tenant, tunnel, vlan, len, captured, room, reserved };
    let flags = u64::from(captured) << 32 | u64::from(BPF_F_CURRENT_CPU as u32);
    // SAFETY: the helper reads the note, and as many bytes of the packet as the flags say, if it has them.
    unsafe {
        bpf_perf_event_output(
            ctx,
            (&raw const CAPTURED).cast_mut().cast(),
            flags,
            (&raw mut note).cast(),
            size_of_val(&note) as u64,
        )
    }
}
