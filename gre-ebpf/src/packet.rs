//! The only file that touches packet pointers.
//!
//! The verifier wants every access compared with the end of the packet, after the last helper that
//! may have moved it. So nothing here keeps a pointer: each access loads both ends anew.

use core::ops::Range;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{bpf_hdr_start_off::BPF_HDR_START_MAC, xdp_md},
    helpers::{
        bpf_skb_change_head, bpf_skb_load_bytes_relative, bpf_skb_pull_data, bpf_xdp_get_buff_len,
    },
    programs::{TcContext, XdpContext},
};
use gre_common::{
    encap::Encap,
    guard::Start,
    packet::Packet,
    partial::Transport,
    tables::{Handover, IfIndex, Tables, TenantId, TenantOptions, TunnelOptions, Via},
    wire::{
        address::Version,
        be32::Be32,
        checksum,
        ethernet::{self, Ends, EtherType},
        gre, ipv4, ipv6,
    },
};

use crate::{
    checksum::{pending_sum_of_buffer, sum_of_buffer, sum_of_frame},
    flow::{flow_of_buffer, flow_of_frame},
    guard::{buffer_is_allowed, frame_is_allowed},
    ipsec::excused,
    neighbour::{is_answered_tc, is_answered_xdp},
    route::{route_of_buffer, route_of_frame},
    verifier::{self, bounded, forgotten, settled},
};

/// Furthest byte a header may begin at; the verifier needs a bound. Outer headers with all options and
/// tags, and inner ones up to the transport header, end well before it.
const MAX_OFFSET: usize = 255;
/// How much of a socket buffer is made linear before its headers are read.
const LINEAR_LEN: u32 = 192;

/// Loads four bytes as they stand.
///
/// A load of the compiler's own would be of single bytes, for it knows no alignment; the kernel, where
/// unaligned access costs nothing, asks for none.
///
/// # Safety
/// The verifier knows that the bytes are part of the packet.
#[inline(always)]
unsafe fn load_u32(address: usize) -> u32 {
    #[cfg(target_arch = "bpf")]
    {
        let value: u64;
        // SAFETY: the caller's promise.
        unsafe {
            core::arch::asm!("{0} = *(u32 *)({1} + 0)", out(reg) value, in(reg) address, options(readonly, nostack));
        }
        value as u32
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's promise.
    unsafe {
        (address as *const u32).read_unaligned()
    }
}

/// Stores the low half of a word, or all of it; see [`load_u32`].
///
/// # Safety
/// As [`load_u32`]; and the program may write there.
#[inline(always)]
unsafe fn store<const BITS: u32>(address: usize, value: u32) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the caller's promise.
    unsafe {
        core::arch::asm!("*(u{bits} *)({0} + 0) = {1}", in(reg) address, in(reg) u64::from(value), options(nostack), bits = const BITS);
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's promise.
    unsafe {
        match BITS {
            16 => (address as *mut u16).write_unaligned(value as u16),
            _ => (address as *mut u32).write_unaligned(value),
        }
    }
}

/// Linear bytes of a packet, from `start` up to `end`.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// Address of `len` readable bytes at `offset`.
    #[inline(always)]
    fn at(self, offset: usize, len: usize) -> Option<usize> {
        if offset > MAX_OFFSET {
            return None;
        }
        let address = self.start + bounded::<MAX_OFFSET>(offset);
        if address + len > self.end { None } else { Some(address) }
    }

    /// The bytes are zero where there are none to read, instead of undefined: the compiler may begin to
    /// calculate with them before it looks whether there are any, and the verifier would see it calculate
    /// with whatever the registers hold.
    #[inline(always)]
    fn read<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let address = self.at(offset, N);
        if let Some(mut address) = address {
            let mut words = bytes.chunks_exact_mut(size_of::<u32>());
            for word in &mut words {
                // SAFETY: the range was compared with the end of the packet, which no one moves while
                // the program runs; the same holds below.
                word.copy_from_slice(&unsafe { load_u32(address) }.to_ne_bytes());
                address += size_of::<u32>();
            }
            for byte in words.into_remainder() {
                // SAFETY: as above.
                *byte = unsafe { (address as *const u8).read() };
                address += 1;
            }
        }
        address.map(|_| bytes)
    }

    #[inline(always)]
    fn words<const N: usize>(self, offset: usize) -> Option<[Be32; N]> {
        let mut words = [Be32::default(); N];
        let address = self.at(offset, N * size_of::<Be32>());
        if let Some(mut address) = address {
            for word in &mut words {
                // SAFETY: as in `read`.
                *word = Be32::from_read(unsafe { load_u32(address) });
                address += size_of::<Be32>();
            }
        }
        address.map(|_| words)
    }

    /// For a program that may write there.
    #[inline(always)]
    fn write_link_header(self, offset: usize, header: LinkHeader) -> Option<()> {
        let address = self.at(offset, ethernet::HEADER_LEN)?;
        let [first, second, third] = header.ends;
        // SAFETY: the range was compared with the end of the packet, here and below.
        unsafe {
            store::<32>(address, first.as_read());
            store::<32>(address + 4, second.as_read());
            store::<32>(address + 8, third.as_read());
            store::<16>(address + 12, header.ether_type.into());
        }
        Some(())
    }

    /// Words one by one: in a loop the compiler would put them into memory first. For a program that may write
    /// there.
    #[inline(always)]
    fn write_words<const N: usize>(self, offset: usize, words: [Be32; N]) -> Option<()> {
        let address = self.at(offset, N * size_of::<Be32>())?;
        for (number, word) in words.into_iter().enumerate() {
            // SAFETY: the range was compared with the end of the packet.
            unsafe { store::<32>(address + number * size_of::<Be32>(), word.as_read()) };
        }
        Some(())
    }

    /// For a program that may write there.
    #[inline(always)]
    fn write_outer(self, plan: &Encap<'_>, sequence: Be32) -> Option<()> {
        const OFFSET: usize = ethernet::HEADER_LEN;
        let tunnel = plan.tunnel;
        let [first, second, third] = plan.headers.ip;
        if plan.headers.version == Version::V6 {
            self.write_link_header(0, LinkHeader::new(tunnel.next_hop.ends, EtherType::IPV6))?;
            self.write_words(OFFSET, [first, second])?;
            self.write_words(OFFSET + ipv6::SOURCE_OFFSET, tunnel.local.words())?;
            self.write_words(OFFSET + ipv6::DESTINATION_OFFSET, tunnel.remote.words())?;
            return self.write_gre(OFFSET + ipv6::HEADER_LEN, plan, sequence);
        }
        self.write_link_header(0, LinkHeader::new(tunnel.next_hop.ends, EtherType::IPV4))?;
        let ends = [tunnel.local.last(), tunnel.remote.last()];
        self.write_words(OFFSET, [first, second, third, ends[0], ends[1]])?;
        self.write_gre(OFFSET + ipv4::HEADER_LEN, plan, sequence)
    }

    #[inline(always)]
    fn write_gre(self, mut offset: usize, plan: &Encap<'_>, sequence: Be32) -> Option<()> {
        let headers = &plan.headers;
        self.write_words(offset, [headers.gre])?;
        offset += gre::BASE_LEN;
        if headers.fields.checksum() {
            self.write_words(offset, [headers.checksum(sequence)])?;
            offset += gre::FIELD_LEN;
        }
        if headers.fields.key() {
            self.write_words(offset, [headers.key])?;
            offset += gre::FIELD_LEN;
        }
        if headers.fields.sequence() {
            self.write_words(offset, [sequence])?;
        }
        Some(())
    }
}

#[inline(always)]
fn folded(sum: i64) -> Option<u16> {
    (sum >= 0).then(|| checksum::fold(sum.cast_unsigned()))
}

/// A frame in the driver.
pub struct XdpPacket<'a> {
    ctx: &'a XdpContext,
    /// Length of the whole frame, or [`XdpPacket::ASK`].
    len: usize,
}

impl<'a> XdpPacket<'a> {
    /// The kernel is asked for the length when it matters.
    const ASK: usize = usize::MAX;

    /// A frame that may continue in fragments, which most decisions need not know.
    #[inline(always)]
    pub fn with_frags(ctx: &'a XdpContext) -> Self {
        Self { ctx, len: Self::ASK }
    }

    /// A frame that is all in one buffer.
    #[inline(always)]
    pub fn linear(ctx: &'a XdpContext) -> Self {
        Self { ctx, len: ctx.data_end() - ctx.data() }
    }

    /// Whether all of it, which is `len` bytes, is in one buffer.
    #[inline(always)]
    pub fn holds(&self, len: usize) -> bool {
        self.ctx.data_end() - self.ctx.data() == len
    }

    /// What the kernel gave the program.
    #[inline(always)]
    pub fn context(&self) -> *mut xdp_md {
        self.ctx.ctx
    }

    #[inline(always)]
    fn span(ctx: &XdpContext) -> Span {
        Span { start: ctx.data(), end: ctx.data_end() }
    }
}

impl Packet for XdpPacket<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        if self.len == Self::ASK {
            // SAFETY: the context is the one the kernel gave us.
            return unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) } as usize;
        }
        self.len
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        Self::span(self.ctx).read(offset)
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[Be32; N]> {
        Self::span(self.ctx).words(offset)
    }

    #[inline(always)]
    fn settle(&self, offset: usize) -> usize {
        forgotten::<MAX_OFFSET>(offset, self.ctx.data_end() - self.ctx.data())
    }

    #[inline(always)]
    fn look_again(&self) {
        verifier::forget_memory();
    }

    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        settled(value as usize, self.ctx.data_end() - self.ctx.data()) as u32
    }

    #[inline(always)]
    fn sum(&self, offset: usize, len: usize) -> Option<u16> {
        folded(sum_of_frame(self.ctx.ctx, offset as u32, len as u32))
    }

    #[inline(always)]
    fn flow_hash(&self, version: Version, ip: usize, inner: Range<usize>) -> u32 {
        flow_of_frame(
            self.ctx.ctx,
            version.number(),
            ip as u32,
            inner.start as u32,
            inner.end as u32,
        )
    }

    #[inline(always)]
    fn route<T: Tables>(&self, _: &T, tenant: TenantId, ip: usize) -> Via {
        Via::from_bits(route_of_frame(self.ctx.ctx, tenant.0, ip as u32))
    }

    #[inline(always)]
    fn is_allowed<T: Tables>(
        &self,
        _: &T,
        tenant: TenantId,
        options: TenantOptions,
        start: Start,
    ) -> bool {
        let (offset, is_frame) = (start.offset as u32, u32::from(start.is_frame));
        frame_is_allowed(self.ctx.ctx, tenant.0, options.bits(), offset, is_frame) != 0
    }

    #[inline(always)]
    fn is_answered<T: Tables>(&self, _: &T, tenant: TenantId) -> bool {
        is_answered_xdp(self.ctx, tenant)
    }

    /// A packet that ends with the first buffer is taken to be all of the frame: nobody pads frames that
    /// need a second one. It spares most packets a call into the kernel.
    #[inline(always)]
    fn behind(&self, len: usize) -> Option<usize> {
        if self.ctx.data_end() - self.ctx.data() == len {
            Some(0)
        } else {
            self.len().checked_sub(len)
        }
    }
}

/// Writes the outer headers of a frame in the driver.
#[inline(always)]
pub fn write_outer_xdp(ctx: &XdpContext, plan: &Encap<'_>, sequence: Be32) -> Option<()> {
    XdpPacket::span(ctx).write_outer(plan, sequence)
}

/// Writes bytes into a frame in the driver.
#[inline(always)]
pub fn write_xdp<const N: usize>(ctx: &XdpContext, offset: usize, bytes: [u8; N]) -> Option<()> {
    let mut address = XdpPacket::span(ctx).at(offset, N)?;
    let words = bytes.chunks_exact(size_of::<u32>());
    let rest = words.remainder();
    for word in words {
        let Ok(word) = word.try_into() else { return None };
        // SAFETY: the range was compared with the end of the packet; the kernel lets XDP programs write to it.
        unsafe { store::<32>(address, u32::from_ne_bytes(word)) };
        address += size_of::<u32>();
    }
    for byte in rest {
        // SAFETY: as above.
        unsafe { (address as *mut u8).write(*byte) };
        address += 1;
    }
    Some(())
}

/// Writes the Ethernet header of a frame in the driver.
#[inline(always)]
pub fn write_link_header(ctx: &XdpContext, ends: Ends, ether_type: EtherType) -> Option<()> {
    XdpPacket::span(ctx).write_link_header(0, LinkHeader::new(ends, ether_type))
}

/// An Ethernet header as it stands in a frame.
#[derive(Clone, Copy)]
pub struct LinkHeader {
    /// Destination, source.
    pub ends: [Be32; 3],
    /// In network byte order.
    pub ether_type: u16,
}

impl LinkHeader {
    #[inline(always)]
    fn new(ends: Ends, ether_type: EtherType) -> Self {
        Self { ends: ends.words(), ether_type: ether_type.0.to_be() }
    }

    /// Its part of a running [`checksum`].
    #[inline(always)]
    pub fn sum(self) -> u64 {
        checksum::add_words(u64::from(self.ether_type), &self.ends)
    }
}

/// Reads a frame's Ethernet header.
#[inline(always)]
pub fn read_link_header_tc(ctx: &TcContext) -> Option<LinkHeader> {
    let span = TcPacket::span(ctx);
    let (ends, ether_type) = (span.words(0)?, span.read(12)?);
    Some(LinkHeader { ends, ether_type: u16::from_ne_bytes(ether_type) })
}

/// Writes an Ethernet header into a socket buffer, which must be unshared: one whose room was changed is.
#[inline(always)]
pub fn write_link_header_tc(ctx: &TcContext, offset: usize, header: LinkHeader) -> Option<()> {
    TcPacket::span(ctx).write_link_header(offset, header)
}

/// Writes the outer headers of a socket buffer; see [`write_link_header_tc`].
#[inline(always)]
pub fn write_outer_tc(ctx: &TcContext, plan: &Encap<'_>, sequence: Be32) -> Option<()> {
    TcPacket::span(ctx).write_outer(plan, sequence)
}

/// Writes the metadata in front of a frame, which must have room for it.
#[inline(always)]
pub fn write_handover(ctx: &XdpContext, handover: Handover) -> Option<()> {
    let metadata = Span { start: ctx.metadata(), end: ctx.metadata_end() };
    let address = metadata.at(0, size_of::<Handover>())?;
    // SAFETY: the range was compared with the end of the metadata, which is the program's.
    unsafe {
        store::<32>(address, handover.cookie);
        store::<32>(address + 4, handover.uplink.0);
        store::<32>(address + 8, handover.port.0);
    }
    Some(())
}

/// A socket buffer.
pub struct TcPacket<'a> {
    ctx: &'a TcContext,
}

impl<'a> TcPacket<'a> {
    /// Makes the headers linear, where they are not.
    #[inline(always)]
    pub fn new(ctx: &'a TcContext) -> Self {
        Self::linear(ctx, LINEAR_LEN)
    }

    /// The same, and as far as can be read at all.
    #[inline(always)]
    pub fn all_headers(ctx: &'a TcContext) -> Self {
        Self::linear(ctx, MAX_OFFSET as u32 + 1)
    }

    #[inline(always)]
    fn linear(ctx: &'a TcContext, wanted: u32) -> Self {
        let linear = (ctx.data_end() - ctx.data()) as u32;
        if linear < wanted && linear < ctx.len() {
            // A failure leaves the headers unreadable, and the packet is then judged too short.
            // SAFETY: the context is the one the kernel gave us.
            unsafe { bpf_skb_pull_data(ctx.as_ptr().cast(), wanted.min(ctx.len())) };
        }
        Self { ctx }
    }

    /// [`Packet::settle`] while the packet changes.
    #[inline(always)]
    pub fn settled(ctx: &TcContext, offset: usize) -> usize {
        forgotten::<MAX_OFFSET>(offset, ctx.len() as usize)
    }

    #[inline(always)]
    fn span(ctx: &TcContext) -> Span {
        Span { start: ctx.data(), end: ctx.data_end() }
    }
}

impl Packet for TcPacket<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.ctx.len() as usize
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        Self::span(self.ctx).read(offset)
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[Be32; N]> {
        Self::span(self.ctx).words(offset)
    }

    #[inline(always)]
    fn settle(&self, offset: usize) -> usize {
        Self::settled(self.ctx, offset)
    }

    #[inline(always)]
    fn look_again(&self) {
        verifier::forget_memory();
    }

    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        settled(value as usize, self.ctx.len() as usize) as u32
    }

    #[inline(always)]
    fn segment_payload(&self) -> usize {
        // SAFETY: the kernel rewrites this access to the socket buffer's own field.
        unsafe { (*self.ctx.skb.skb).gso_size as usize }
    }

    #[inline(always)]
    fn sum(&self, offset: usize, len: usize) -> Option<u16> {
        let needed = (offset + len) as u32;
        if ((self.ctx.data_end() - self.ctx.data()) as u32) < needed {
            // SAFETY: the context is the one the kernel gave us.
            unsafe { bpf_skb_pull_data(self.ctx.as_ptr().cast(), needed) };
        }
        folded(sum_of_buffer(self.ctx.skb.skb, offset as u32, len as u32))
    }

    #[inline(always)]
    fn pending_sum(&self, transport: Transport) -> Option<u16> {
        let Transport { version, ip_offset, protocol, offset, len } = transport;
        let kind = version.number() << 8 | u32::from(protocol);
        let (ip_offset, offset, len) = (ip_offset as u32, offset as u32, len as u32);
        folded(pending_sum_of_buffer(self.ctx.skb.skb, kind, ip_offset, offset, len))
    }

    #[inline(always)]
    fn route<T: Tables>(&self, _: &T, tenant: TenantId, ip: usize) -> Via {
        Via::from_bits(route_of_buffer(self.ctx.skb.skb, tenant.0, ip as u32))
    }

    #[inline(always)]
    fn is_allowed<T: Tables>(
        &self,
        _: &T,
        tenant: TenantId,
        options: TenantOptions,
        start: Start,
    ) -> bool {
        let (offset, is_frame) = (start.offset as u32, u32::from(start.is_frame));
        buffer_is_allowed(self.ctx.skb.skb, tenant.0, options.bits(), offset, is_frame) != 0
    }

    #[inline(always)]
    fn is_answered<T: Tables>(&self, _: &T, tenant: TenantId) -> bool {
        is_answered_tc(self.ctx, tenant)
    }

    #[inline(always)]
    fn flow_hash(&self, version: Version, ip: usize, inner: Range<usize>) -> u32 {
        flow_of_buffer(
            self.ctx.skb.skb,
            version.number(),
            ip as u32,
            inner.start as u32,
            inner.end as u32,
        )
    }

    #[inline(always)]
    fn stripped_vlan(&self) -> Option<Be32> {
        stripped_vlan(self.ctx).map(Be32::from)
    }

    #[inline(always)]
    fn excused(&self) -> TunnelOptions {
        TunnelOptions::from_bits(excused(self.ctx.skb.skb))
    }
}

/// Puts the Ethernet header back in front of a packet that came through generic XDP.
///
/// Where generic XDP copies a packet (Linux 6.9 and later), the copy forgets how long its Ethernet header
/// is (`mac_len`), and TC programs see it begin at the network header. `bpf_skb_change_head` counts anew.
/// None: the kernel refused, and the packet is as it was.
#[inline(always)]
pub fn restore_link_header(ctx: &TcContext) -> Option<()> {
    let mut header = [0u8; ethernet::HEADER_LEN];
    let len = header.len() as u32;
    let skb = ctx.skb.skb;
    // SAFETY: the helper writes `len` bytes into `header`.
    let loaded = unsafe {
        bpf_skb_load_bytes_relative(
            skb.cast(),
            0,
            header.as_mut_ptr().cast(),
            len,
            BPF_HDR_START_MAC,
        )
    };
    if loaded != 0 || TcPacket::new(ctx).read(0) == Some(header) {
        return Some(());
    }
    // SAFETY: the context is the one the kernel gave us.
    if unsafe { bpf_skb_change_head(skb, len, 0) } != 0 {
        return None;
    }
    ctx.store(0, &header, 0).ok()
}

/// The four bytes of a VLAN tag that the device took out of the frame.
#[inline(always)]
pub fn stripped_vlan(ctx: &TcContext) -> Option<[u8; 4]> {
    // SAFETY: the kernel rewrites these accesses to the socket buffer's own fields.
    let (present, protocol, tci) = unsafe {
        let skb = ctx.skb.skb;
        ((*skb).vlan_present, (*skb).vlan_proto, (*skb).vlan_tci)
    };
    // `vlan_proto` is in network byte order, `vlan_tci` in the host's.
    let [p0, p1] = (protocol as u16).to_ne_bytes();
    let [t0, t1] = (tci as u16).to_be_bytes();
    (present != 0).then_some([p0, p1, t0, t1])
}

/// What a program before this one left in front of a packet, if anything.
///
/// Only read: a direct write anywhere in a program has the kernel unshare the buffer when the program
/// begins, and a buffer that a packet tap shares loses its metadata by that.
#[inline(always)]
pub fn read_handover(ctx: &TcContext) -> Option<Handover> {
    // SAFETY: the kernel rewrites this access to the socket buffer's own field.
    let start = unsafe { (*ctx.skb.skb).data_meta } as usize;
    let metadata = Span { start, end: ctx.data() };
    let [cookie, uplink, port] = metadata.words(0)?.map(Be32::as_read);
    Some(Handover { cookie, uplink: IfIndex(uplink), port: IfIndex(port) })
}
