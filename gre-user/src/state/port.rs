//! Ports: where tenants' packets enter and leave.

use std::{collections::BTreeMap, mem::offset_of, thread, time::Duration};

use aya::{
    Pod,
    maps::{MapError, PerCpuValues},
    util::nr_cpus,
};
use gre_common::tables::{
    Hook, HookCounters, HookKey, IfIndex, Port, PortMode, PortRecord, PortUse, RunOptions, Service,
    TenantId, Via,
};

use nix::errno::Errno;

use super::{
    Error, Result, Room, State, error::errno, maps::Maps, member::PortMember, name, optional,
    tenant,
};

const MEMORY_RETRIES: u32 = 10;
const MEMORY_PAUSE: Duration = Duration::from_millis(10);

/// A port with its names.
#[derive(Clone, Debug)]
pub struct Named {
    /// The interface's name, as users know it.
    pub name: String,
    /// What userspace knows of it.
    pub record: PortRecord,
}

impl Named {
    /// The device that carries the program.
    pub const fn ifindex(&self) -> IfIndex {
        self.record.port.ifindex
    }
}

/// Where a port comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// xgre made its device, and the other end.
    Created,
    /// xgre made its device, a VLAN of another.
    Vlan,
    /// The device was there.
    Existing,
}

impl Origin {
    /// Where a port came from.
    pub fn of(record: &PortRecord) -> Self {
        match record.created {
            PortRecord::PAIR => Self::Created,
            PortRecord::VLAN => Self::Vlan,
            _ => Self::Existing,
        }
    }
}

/// What a new port is to be.
#[derive(Clone, Copy, Debug)]
pub struct New {
    /// What the datapath is to know of it.
    pub port: Port,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether the user named the station behind it.
    pub station_named: bool,
    /// How packets are to be taken off it.
    pub mode: PortMode,
}

impl New {
    /// What a port is.
    pub(super) fn of(record: &PortRecord) -> Self {
        Self {
            port: record.port,
            origin: Origin::of(record),
            station_named: record.follows_peer == 0,
            mode: record.mode,
        }
    }

    /// The record of a tenant's only port.
    pub(super) fn record(&self, tenant: TenantId) -> PortRecord {
        PortRecord {
            port: self.port,
            tenant,
            created: match self.origin {
                Origin::Created => PortRecord::PAIR,
                Origin::Vlan => PortRecord::VLAN,
                Origin::Existing => 0,
            },
            follows_peer: (!self.station_named).into(),
            mode: self.mode,
            position: 1,
        }
    }
}

impl Maps {
    /// All ports, by name.
    pub(super) fn ports(&self) -> Result<Vec<Named>> {
        // Who has no lock may meet a port twice, where another one is deleted meanwhile.
        let mut ports = BTreeMap::new();
        for entry in &self.ports {
            let (name, record) = entry?;
            ports.insert(name::text(&name), record);
        }
        Ok(ports.into_iter().map(|(name, record)| Named { name, record }).collect())
    }
}

impl State {
    /// How packets are taken off a port whose mode this is: only TC leaves them alone.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn mode_now(&self, mode: PortMode) -> Result<PortMode> {
        Ok(if self.run_options()?.has(RunOptions::SHADOW) { PortMode::TC } else { mode })
    }

    /// Makes a device the port of a tenant. `name` is what users call it; where xgre made the device,
    /// that is the name of its other end.
    ///
    /// # Errors
    /// The device is one, or a map is full.
    pub fn add_port(&mut self, tenant: &tenant::Named, name: &str, new: New) -> Result<()> {
        self.check_port_free(name)?;
        let ports = self.maps.ports_of(&self.tenant_at(tenant.id));
        let record = PortRecord { position: free_position(&ports), ..new.record(tenant.id) };
        let added = self.enter_port(name, record);
        if added.is_err() {
            self.leave_port(name, record)?;
        }
        added
    }

    /// Whether an interface may become a port.
    ///
    /// # Errors
    /// It is one.
    pub fn check_port_free(&self, name: &str) -> Result<()> {
        if let Some(record) = self.find_port(name)? {
            let tenant = self.tenant_name(record.tenant);
            return Err(Error::Exists { kind: "port", name: format!("{name} (tenant {tenant})") });
        }
        Ok(())
    }

    /// Takes a port from its tenant.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn delete_port(&mut self, port: &Named) -> Result<()> {
        self.leave_port(&port.name, port.record)
    }

    /// The port of this name, if it is there.
    ///
    /// # Errors
    /// It cannot be a name, or the kernel refuses.
    pub fn find_port(&self, name: &str) -> Result<Option<PortRecord>> {
        optional(self.maps.ports.get(&name::parse_interface(name)?, 0))
    }

    /// The port of this name and tenant.
    ///
    /// # Errors
    /// There is none, or it is another tenant's.
    pub fn port(&self, tenant: &str, name: &str) -> Result<Named> {
        let id = self.tenant(tenant)?.id;
        let record = self
            .find_port(name)?
            .ok_or_else(|| Error::Unknown { kind: "port", name: name.to_owned() })?;
        if record.tenant != id {
            return Err(Error::ForeignPort {
                port: name.to_owned(),
                tenant: self.tenant_name(record.tenant),
                asked: tenant.to_owned(),
            });
        }
        Ok(Named { name: name.to_owned(), record })
    }

    /// All ports, by name.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn ports(&self) -> Result<Vec<Named>> {
        self.maps.ports()
    }

    /// The name of a tenant's port.
    pub(super) fn port_name(&self, tenant: TenantId) -> Result<String> {
        let port = self.ports()?.into_iter().find(|port| port.record.tenant == tenant);
        Ok(port.map_or_else(|| "?".to_owned(), |port| port.name))
    }

    /// The name of the port that a device is.
    pub(super) fn port_name_of(&self, ifindex: IfIndex) -> Result<String> {
        let port = self.ports()?.into_iter().find(|port| port.ifindex() == ifindex);
        Ok(port.map_or_else(|| format!("#{}", ifindex.0), |port| port.name))
    }

    /// Takes over what changed about a port's device.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn update_port(&mut self, name: &str, record: PortRecord) -> Result<()> {
        self.maps.ports.insert(name::parse_interface(name)?, record, 0)?;
        let ends = record.port.ends;
        self.maps.port_tenants.set_part(&record.port.ifindex, offset_of!(PortUse, ends), &ends);
        if self.tenant_at(record.tenant).port.ifindex == record.port.ifindex {
            self.set_port(record.tenant, record.port);
        }
        Ok(())
    }

    /// Enters a port everywhere; the tenant's record, which brings traffic, comes last.
    fn enter_port(&mut self, name: &str, record: PortRecord) -> Result<()> {
        let max = self.max_tenants();
        let ifindex = record.port.ifindex;
        let full = || Error::inserting(Room::PORTS, max);
        self.maps.ports.insert(name::parse_interface(name)?, record, 0).map_err(full())?;
        let used = self.maps.port_tenants.insert(&port_use(&record));
        used.map_err(|_| Error::Full { room: Room::PORTS, max })?;
        let entered = self.maps.port_devices.insert(ifindex.0);
        entered.map_err(full())?;
        self.register_hook(Hook::PORT_TC, ifindex)?;
        if record.mode != PortMode::TC {
            self.register_hook(Hook::PORT_XDP, ifindex)?;
        }
        let tenant = self.tenant_at(record.tenant);
        if tenant.port == Port::NONE {
            self.set_port(record.tenant, record.port);
        }
        let mut ports = self.maps.ports_of(&tenant);
        ports.push(PortMember { ifindex, position: record.position });
        self.change_ports(record.tenant, &ports)
    }

    /// Replaces the list of a tenant's ports.
    fn change_ports(&mut self, id: TenantId, ports: &[PortMember]) -> Result<()> {
        let tunnels = self.tunnels_of(&self.tenant_at(id));
        let old = self.set_members(id, &tunnels, ports)?;
        self.wait_for_programs();
        self.release_members(&old);
        Ok(())
    }

    /// Undoes as much of [`State::enter_port`] as was done.
    fn leave_port(&mut self, name: &str, record: PortRecord) -> Result<()> {
        let PortRecord { port: Port { ifindex, .. }, tenant: id, .. } = record;
        let tenant = self.tenant_at(id);
        let mut ports = self.maps.ports_of(&tenant);
        ports.retain(|port| port.ifindex != ifindex);
        if tenant.port.ifindex == ifindex {
            let next = ports.first().map(|next| self.port_at(next.ifindex)).transpose()?;
            self.set_port(id, next.unwrap_or(Port::NONE));
        }
        self.change_ports(id, &ports)?;
        optional(self.maps.port_devices.remove(ifindex.0))?;
        self.maps.port_tenants.remove(&ifindex);
        self.wait_for_programs();
        if tenant.service == Service::L2 {
            self.forget_stations(id, Some(Via::port(ifindex)))?;
        } else {
            self.forget_way(id, Via::port(ifindex))?;
        }
        optional(self.maps.ports.remove(&name::parse_interface(name)?))?;
        self.forget_hook(Hook::PORT_XDP, ifindex)?;
        self.forget_hook(Hook::PORT_TC, ifindex)
    }

    /// What the datapath is to know of a port.
    fn port_at(&self, ifindex: IfIndex) -> Result<Port> {
        let found = self.ports()?.into_iter().find(|port| port.ifindex() == ifindex);
        Ok(found.map_or(Port::NONE, |port| port.record.port))
    }

    /// Makes the counters of a hook.
    pub(super) fn register_hook(&mut self, hook: Hook, ifindex: IfIndex) -> Result<()> {
        let key = HookKey { ifindex, hook };
        if optional(self.maps.hook_counters.get(&key, 0))?.is_some() {
            return Ok(());
        }
        let max = self.max_tenants();
        let mut retries = MEMORY_RETRIES;
        loop {
            let inserted = self.maps.hook_counters.insert(key, per_cpu(HookCounters::ZERO)?, 0);
            match inserted {
                // The kernel takes this memory without sleeping (Linux 6.1), and may have none for a moment.
                Err(error) if errno(&error) == Some(Errno::ENOMEM) && retries > 0 => {
                    retries -= 1;
                    thread::sleep(MEMORY_PAUSE);
                }
                inserted => return inserted.map_err(Error::inserting(Room::HOOKS, max)),
            }
        }
    }

    /// Removes the counters of a hook.
    pub(super) fn forget_hook(&mut self, hook: Hook, ifindex: IfIndex) -> Result<()> {
        optional(self.maps.hook_counters.remove(&HookKey { ifindex, hook })).map(drop)
    }
}

/// What programs know of a port by its device.
pub(super) const fn port_use(record: &PortRecord) -> PortUse {
    let PortRecord { port, tenant, position, .. } = *record;
    PortUse { ifindex: port.ifindex, tenant, position, ends: port.ends }
}

/// The first position that none of the ports has.
pub(super) fn free_position(ports: &[PortMember]) -> u32 {
    let is_taken = |position| ports.iter().any(|port| port.position == position);
    let all = 1..=ports.len() as u32 + 1;
    all.into_iter().find(|&position| !is_taken(position)).expect("there are fewer ports")
}

/// The same value for every CPU.
pub(super) fn per_cpu<T: Pod>(value: T) -> Result<PerCpuValues<T>> {
    let cpus = nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
    let values = PerCpuValues::try_from(vec![value; cpus]);
    values.map_err(|error| MapError::IoError(error).into())
}
