//! Help for the verifier, which knows less than the compiler.

/// `value`, which is at most `MASK`, in a way that the verifier sees.
///
/// The compiler compares one register and goes on with another that holds the same, or drops a comparison
/// whose outcome its types guarantee. The verifier then has no bound for what is added to a pointer.
#[inline(always)]
pub fn bounded<const MASK: usize>(value: usize) -> usize {
    const { assert!((MASK + 1).is_power_of_two()) }
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: one instruction on one register.
        unsafe {
            core::arch::asm!("{0} &= {1}", inout(reg) value, const MASK, options(pure, nomem));
        }
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    value
}

/// `value`, in a way that neither compiler nor verifier sees what it is. `unknown` is any number that they know
/// nothing of.
///
/// Where ways through a program meet that differ in a number, the verifier goes through the rest once for
/// each of them; where the number is unknown to it, once.
#[inline(always)]
pub fn settled(value: usize, unknown: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: instructions on two registers. What is changed twice is as it was.
        unsafe {
            core::arch::asm!("{0} ^= {1}", "{0} ^= {1}", inout(reg) value, in(reg) unknown, options(pure, nomem));
        }
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = unknown;
        value
    }
}

/// [`settled`] and [`bounded`].
#[inline(always)]
pub fn forgotten<const MASK: usize>(value: usize, unknown: usize) -> usize {
    bounded::<MASK>(settled(value, unknown))
}

/// Has the compiler load anew what it has in registers of memory that others can see.
#[inline(always)]
pub fn forget_memory() {
    #[cfg(target_arch = "bpf")]
    // SAFETY: there is no instruction.
    unsafe {
        core::arch::asm!("", options(nostack));
    }
}
