//! Tenants.

use super::{Check, Host, Judge, Severity, Tenant, Trouble};

/// The rows.
pub const CHECKS: &[Check] = &[Check {
    id: "no_port",
    severity: Severity::Warning,
    fine: "it has a port",
    judge: Judge::Tenant(no_port),
}];

fn no_port(host: &Host, tenant: &Tenant) -> Option<Trouble> {
    let name = &tenant.name;
    host.ports.iter().all(|port| port.tenant != *name).then(|| {
        let cause = "it has no port: what it receives is dropped";
        Trouble::new(cause, format!("xgre port add {name} {name}0 --create"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::{good, told};

    #[test]
    fn a_tenant_without_port() {
        let mut host = good();
        host.ports.clear();
        assert_eq!(told(&host), ["no_port"]);
    }
}
