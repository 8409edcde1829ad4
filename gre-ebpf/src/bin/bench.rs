//! The kernel side of `cargo xtask bench`: a packet generator, and the programs that stand for doing nothing.
//!
//! - [`generate_gre`] and [`generate_plain`] run on live frames (`BPF_PROG_TEST_RUN`).
//! - [`count_drop`] and [`redirect`] are the baselines of `uplink_xdp`, [`redirect_tc`] is that of `port_tc`.
//! - [`count_sink`] stands where a port's device would transmit, [`count_tc`] where socket buffers end.
//! - [`wrap_tc`] puts the generator's tunnel headers on frames that something else made.
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

#[cfg(target_arch = "bpf")]
#[path = "../object.rs"]
mod object;

use aya_ebpf::{
    bindings::{
        BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L4_GRE, TC_ACT_SHOT, TC_ACT_UNSPEC,
        bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
        xdp_action::{XDP_ABORTED, XDP_DROP},
    },
    btf_maps::{Array, DevMap, DevMapHash, PerCpuArray},
    helpers::bpf_redirect,
    macros::{btf_map, classifier, xdp},
    programs::{TcContext, XdpContext},
};

/// Length of a template in 64-bit words: Ethernet, IPv4, GRE with key, inner IPv4, UDP, rounded up.
const WORDS: usize = 9;
/// Length of an Ethernet header.
const ETHERNET_LEN: usize = 14;
/// Length of IPv4 and GRE with key.
const OUTER_LEN: usize = 20 + 8;
/// Where the key stands behind the Ethernet header.
const KEY: usize = 20 + 4;
/// Length of IPv4 and UDP.
const INNER_LEN: usize = 20 + 8;
/// Where the low halves of both addresses, and the source port, stand in the inner packet.
const SOURCE: usize = 14;
const DESTINATION: usize = 18;
const SOURCE_PORT: usize = 20;

/// The headers, as they are before the generator varies them, as they stand in memory.
#[btf_map]
pub static TEMPLATE: Array<[u64; WORDS], 1> = Array::new();
/// The keys to be sent, one after the other and again, in network byte order. A power of two.
#[btf_map]
pub static KEYS: Array<u32, 1> = Array::new();
/// How many frames were made.
#[btf_map]
pub static POSITION: Array<u32, 1> = Array::new();
/// The device that the generator sends on.
#[btf_map]
pub static WIRE: DevMap<1> = DevMap::new();
/// The sink of [`redirect`].
#[btf_map]
pub static SINK: DevMapHash<1> = DevMapHash::new();
/// The device of [`redirect_tc`].
#[btf_map]
pub static EGRESS: Array<u32, 1> = Array::new();
/// Packets and bytes that arrived.
#[btf_map]
pub static ARRIVED: PerCpuArray<[u64; 2], 1> = PerCpuArray::new();
/// The number of [`KEYS`] less one. Set at load.
#[unsafe(no_mangle)]
static KEYS_MASK: aya_ebpf::Global<u32> = aya_ebpf::Global::new(0);

/// Makes GRE frames: writes every header, for a frame comes back as its receiver left it, and sends.
#[xdp]
pub fn generate_gre(ctx: XdpContext) -> u32 {
    send(make::<{ ETHERNET_LEN + OUTER_LEN }>(&ctx))
}

/// Makes the same frames without their tunnel headers.
#[xdp]
pub fn generate_plain(ctx: XdpContext) -> u32 {
    send(make::<ETHERNET_LEN>(&ctx))
}

#[inline(always)]
fn send(made: Option<()>) -> u32 {
    made.map_or(XDP_ABORTED, |()| WIRE.redirect(0, 0).unwrap_or(XDP_ABORTED))
}

/// Writes the headers of a frame whose innermost IP packet begins at `INNER`.
#[inline(always)]
fn make<const INNER: usize>(ctx: &XdpContext) -> Option<()> {
    let words = (INNER + INNER_LEN).div_ceil(size_of::<u64>());
    let number = next_number()?;
    let key = *KEYS.get(number & KEYS_MASK.load())?;
    let template = TEMPLATE.get(0)?;

    let start = ctx.data();
    if start + words * size_of::<u64>() > ctx.data_end() {
        return None;
    }
    for (word, value) in template.iter().take(words).enumerate() {
        // SAFETY: the range was compared with the end of the frame.
        unsafe { store_u64(start + word * size_of::<u64>(), *value) };
    }
    if INNER > ETHERNET_LEN {
        // SAFETY: as above.
        unsafe { store_u32(start + ETHERNET_LEN + KEY, key) };
    }
    // An odd factor makes every value once in 65,536. The two addresses change by opposite amounts and there
    // is no UDP checksum, so that every checksum stays right.
    let flow = (number as u16).wrapping_mul(40_503);
    // SAFETY: as above.
    unsafe {
        store_u16(start + INNER + SOURCE, flow);
        store_u16(start + INNER + DESTINATION, !flow);
        store_u16(start + INNER + SOURCE_PORT, flow);
    }
    Some(())
}

/// How many frames were made before this one.
#[inline(always)]
fn next_number() -> Option<u32> {
    let position = POSITION.get_ptr_mut(0)?;
    // SAFETY: one CPU generates, and nothing else has this map.
    unsafe {
        let number = *position;
        *position = number.wrapping_add(1);
        Some(number)
    }
}

/// Puts the template's tunnel headers, with the next key, in front of what leaves a device.
#[classifier]
pub fn wrap_tc(ctx: TcContext) -> i32 {
    wrap(&ctx).map_or(TC_ACT_SHOT, |()| TC_ACT_UNSPEC)
}

#[inline(always)]
fn wrap(ctx: &TcContext) -> Option<()> {
    const HEADERS_LEN: usize = ETHERNET_LEN + OUTER_LEN;
    let key = *KEYS.get(next_number()? & KEYS_MASK.load())?;
    let template: *const [u64; WORDS] = TEMPLATE.get(0)?;
    // SAFETY: the template is longer than the headers, and aligned for more than bytes.
    let headers = unsafe { &*template.cast::<[u8; HEADERS_LEN]>() };
    let gre = u64::from(BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE);
    ctx.adjust_room(OUTER_LEN as i32, BPF_ADJ_ROOM_MAC, gre).ok()?;
    ctx.store(0, headers, 0).ok()?;
    ctx.store(ETHERNET_LEN + KEY, &key, 0).ok()
}

/// Counts and discards.
#[xdp]
pub fn count_drop(ctx: XdpContext) -> u32 {
    count(&ctx);
    XDP_DROP
}

/// Redirects to the sink.
#[xdp]
pub fn redirect(_ctx: XdpContext) -> u32 {
    SINK.redirect(0, 0).unwrap_or(XDP_ABORTED)
}

/// Sends on another device.
#[classifier]
pub fn redirect_tc(_ctx: TcContext) -> i32 {
    // SAFETY: the helper takes integers only.
    EGRESS.get(0).map_or(TC_ACT_SHOT, |device| unsafe { bpf_redirect(*device, 0) as i32 })
}

/// Counts and discards what a device is about to send.
#[xdp(map = "devmap")]
pub fn count_sink(ctx: XdpContext) -> u32 {
    count(&ctx);
    XDP_DROP
}

/// Counts and discards socket buffers.
#[classifier]
pub fn count_tc(ctx: TcContext) -> i32 {
    count_len(u64::from(ctx.len()));
    TC_ACT_SHOT
}

#[inline(always)]
fn count(ctx: &XdpContext) {
    count_len((ctx.data_end() - ctx.data()) as u64);
}

#[inline(always)]
fn count_len(len: u64) {
    if let Some(arrived) = ARRIVED.get_ptr_mut(0) {
        // SAFETY: the slot belongs to this CPU.
        unsafe {
            (*arrived)[0] += 1;
            (*arrived)[1] += len;
        }
    }
}

/// Declares a function that stores an integer at any address. A store of the compiler's own would be of
/// single bytes, for it knows no alignment; the kernel asks for none.
macro_rules! store {
    ($name:ident, $type:ident, $size:literal) => {
        /// # Safety
        /// The verifier knows that the bytes are part of the packet.
        #[inline(always)]
        unsafe fn $name(address: usize, value: $type) {
            #[cfg(target_arch = "bpf")]
            // SAFETY: the caller's promise.
            unsafe {
                core::arch::asm!(
                    concat!("*(", $size, " *)({0} + 0) = {1}"),
                    in(reg) address, in(reg) u64::from(value), options(nostack)
                );
            }
            #[cfg(not(target_arch = "bpf"))]
            // SAFETY: the caller's promise.
            unsafe {
                (address as *mut $type).write_unaligned(value);
            }
        }
    };
}

store!(store_u16, u16, "u16");
store!(store_u32, u32, "u32");
store!(store_u64, u64, "u64");

#[cfg(not(target_arch = "bpf"))]
fn main() {}
