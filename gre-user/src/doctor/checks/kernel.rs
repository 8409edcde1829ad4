//! The kernel, and what the caller may do.

use super::{Check, Host, Judge, Severity, Told, Trouble, found, when};

/// The rows.
pub const CHECKS: &[Check] = &[
    Check {
        id: "kernel_version",
        severity: Severity::Error,
        fine: "it is new enough",
        judge: Judge::Kernel(version),
    },
    Check {
        id: "privilege",
        severity: Severity::Error,
        fine: "the caller may load and attach programs",
        judge: Judge::Kernel(privilege),
    },
    Check {
        id: "bpf_file_system",
        severity: Severity::Error,
        fine: "the state has a place on a BPF file system",
        judge: Judge::Kernel(file_system),
    },
    Check {
        id: "bpf_jit",
        severity: Severity::Warning,
        fine: "programs are compiled to machine code",
        judge: Judge::Kernel(jit),
    },
    Check {
        id: "unprivileged_bpf",
        severity: Severity::Note,
        fine: "only the privileged load programs",
        judge: Judge::Kernel(unprivileged),
    },
    Check {
        id: "btf",
        severity: Severity::Note,
        fine: "it describes its types",
        judge: Judge::Kernel(btf),
    },
    Check { id: "tcx", severity: Severity::Note, fine: "it has TCX", judge: Judge::Kernel(tcx) },
    Check {
        id: "xdp_features",
        severity: Severity::Note,
        fine: "it tells what XDP can do on a device",
        judge: Judge::Kernel(xdp_features),
    },
];

/// The oldest kernel that takes the programs.
const OLDEST: (u32, u32) = (5, 15);
/// Links for TC programs.
pub const TCX: (u32, u32) = (6, 6);
/// The family `netdev` of generic netlink.
const XDP_FEATURES: (u32, u32) = (6, 3);
/// XDP programs that take frames longer than a page.
pub const XDP_FRAGMENTS: (u32, u32) = (5, 18);

fn version(host: &Host) -> Told {
    older(host, OLDEST, |(major, minor)| {
        format!("xgre needs Linux {major}.{minor}: an older one refuses its programs")
    })
}

fn tcx(host: &Host) -> Told {
    older(host, TCX, |(major, minor)| {
        format!(
            "programs are clsact filters: links that nobody takes off by accident (TCX) are in Linux {major}.{minor} and later"
        )
    })
}

fn xdp_features(host: &Host) -> Told {
    older(host, XDP_FEATURES, |(major, minor)| {
        format!(
            "it does not tell which NICs transmit frames that XDP redirects (Linux {major}.{minor} does): their ports are \
             delivered to by TC"
        )
    })
}

fn older(host: &Host, needed: (u32, u32), cause: impl FnOnce((u32, u32)) -> String) -> Told {
    let (major, minor) = needed;
    let remedy = || format!("install Linux {major}.{minor} or later");
    when(host.kernel.release < needed, || Trouble::new(cause(needed), remedy()))
}

fn privilege(host: &Host) -> Told {
    found(host.kernel.lacks.as_ref().map(|lacks| {
        let cause = format!("{lacks} missing, and much cannot be looked at without");
        Trouble::new(cause, "sudo xgre doctor")
    }))
}

fn file_system(host: &Host) -> Told {
    let message = host.kernel.no_place.as_ref();
    found(message.map(|message| Trouble::of_message(message, "mount -t bpf bpf /sys/fs/bpf")))
}

fn jit(host: &Host) -> Told {
    when(!host.kernel.jit?, || {
        Trouble::new(
            "programs are interpreted, which takes many times as long",
            "sysctl -w net.core.bpf_jit_enable=1",
        )
    })
}

fn unprivileged(host: &Host) -> Told {
    when(host.kernel.unprivileged?, || {
        Trouble::new(
            "every user may load BPF programs, which xgre does not need",
            "sysctl -w kernel.unprivileged_bpf_disabled=2",
        )
    })
}

fn btf(host: &Host) -> Told {
    when(!host.kernel.btf, || {
        Trouble::new(
            "the kernel has no BTF: xgre works, and bpftrace knows none of the kernel's types",
            "boot a kernel with CONFIG_DEBUG_INFO_BTF=y where you want to look inside",
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::doctor::sample::{good, told};

    #[test]
    fn old_kernels_are_told_what_they_miss() {
        let ids = |release| {
            let mut host = good();
            host.kernel.release = release;
            told(&host)
        };
        assert_eq!(ids((5, 10)), ["kernel_version", "tcx", "xdp_features"]);
        assert_eq!(ids((6, 1)), ["tcx", "xdp_features"]);
        assert_eq!(ids((6, 3)), ["tcx"]);
        assert!(ids((6, 6)).is_empty());
    }

    #[test]
    fn settings_and_privileges() {
        let mut host = good();
        host.kernel.jit = Some(false);
        host.kernel.unprivileged = Some(true);
        host.kernel.btf = false;
        host.kernel.lacks = Some("CAP_BPF".to_owned());
        host.kernel.no_place = Some("/tmp is not on a BPF file system; mount one".to_owned());
        let ids = ["privilege", "bpf_file_system", "bpf_jit", "unprivileged_bpf", "btf"];
        assert_eq!(told(&host), ids);
    }
}
