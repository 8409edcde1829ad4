//! Tenants.

use super::{Check, Host, Judge, Severity, Tenant, Told, Trouble, when};

/// The rows.
pub const CHECKS: &[Check] = &[Check {
    id: "no_port",
    severity: Severity::Warning,
    fine: "it has a port",
    judge: Judge::Tenant(no_port),
}];

fn no_port(_: &Host, tenant: &Tenant) -> Told {
    let name = &tenant.name;
    when(!tenant.has_port, || {
        let cause = "it has no port: what it receives is dropped";
        Trouble::new(cause, format!("xgre port add {name} {name}0 --create"))
    })
}

#[cfg(test)]
mod tests {
    use crate::doctor::sample::{good, told};

    #[test]
    fn a_tenant_without_port() {
        let mut host = good();
        host.tenants[0].has_port = false;
        assert_eq!(told(&host), ["no_port"]);
    }
}
