//! Routes of l3 tenants.

use std::mem::offset_of;

use gre_common::tables::{ROUTE_WAYS, Route, Tenant, TenantId, Via};
use ipnet::IpNet;

use super::{Error, Result, Room, State, optional, prefix, tenant};

/// A route.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Whose.
    pub tenant: TenantId,
    /// The destinations.
    pub prefix: IpNet,
    /// The ways to them, none better than another.
    pub ways: Vec<Via>,
}

impl State {
    /// Adds a route by tunnels or ports of the tenant.
    ///
    /// # Errors
    /// There is one for this prefix, there are too many ways, or the map is full.
    pub fn add_route(&mut self, tenant: &tenant::Named, net: IpNet, ways: &[Via]) -> Result<()> {
        let key = prefix::key(tenant.id, net);
        if self.route(tenant.id, net)?.is_some() {
            return Err(Error::RouteExists { tenant: tenant.name.clone(), prefix: net });
        }
        self.enter_route(tenant.id, net, ways)?;
        let counted = self.count_routes(tenant.id, 1);
        if counted.is_err() {
            optional(self.maps.routes.remove(&key))?;
        }
        counted
    }

    /// Enters a route, or replaces its ways.
    pub(super) fn enter_route(&mut self, tenant: TenantId, net: IpNet, ways: &[Via]) -> Result<()> {
        let route = Route::new(ways).ok_or(Error::Ways { prefix: net, max: ROUTE_WAYS })?;
        let entered = self.maps.routes.insert(&prefix::key(tenant, net), route, 0);
        entered.map_err(Error::inserting(Room::ROUTES, self.maps.sizes.routes))
    }

    /// Deletes a route. False: there is none for this prefix.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn delete_route(&mut self, tenant: TenantId, net: IpNet) -> Result<bool> {
        if self.route(tenant, net)?.is_none() {
            return Ok(false);
        }
        self.maps.routes.remove(&prefix::key(tenant, net))?;
        self.count_routes(tenant, -1).map(|()| true)
    }

    /// The ways of the route for exactly this prefix.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn route(&self, tenant: TenantId, net: IpNet) -> Result<Option<Vec<Via>>> {
        // The map finds a shorter one, too.
        let found = self.routes(Some(tenant))?.into_iter().find(|route| route.prefix == net);
        Ok(found.map(|route| route.ways))
    }

    /// Routes of one tenant, or all, by tenant and prefix.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn routes(&self, tenant: Option<TenantId>) -> Result<Vec<Entry>> {
        let mut routes = Vec::new();
        if tenant.is_some_and(|id| self.tenant_at(id).routes == 0) {
            return Ok(routes);
        }
        for entry in &self.maps.routes {
            let (key, route) = entry?;
            let id = key.data().tenant();
            let asked = tenant.is_none_or(|tenant| tenant == id);
            if let Some(prefix) = prefix::of(&key).filter(|_| asked) {
                routes.push(Entry { tenant: id, prefix, ways: route.ways().to_vec() });
            }
        }
        routes.sort_by_key(|route| (route.tenant, route.prefix));
        Ok(routes)
    }

    /// Takes a way out of a tenant's routes. Those that have no other are deleted.
    pub(super) fn forget_way(&mut self, tenant: TenantId, via: Via) -> Result<()> {
        for Entry { prefix, mut ways, .. } in self.routes(Some(tenant))? {
            if !ways.contains(&via) {
                continue;
            }
            ways.retain(|way| *way != via);
            match Route::new(&ways) {
                Some(route) => self.maps.routes.insert(&prefix::key(tenant, prefix), route, 0)?,
                None => {
                    self.delete_route(tenant, prefix)?;
                }
            }
        }
        Ok(())
    }

    /// Deletes all routes of a tenant that receives and sends no more.
    pub(super) fn forget_routes(&mut self, tenant: TenantId) -> Result<()> {
        for Entry { prefix, .. } in self.routes(Some(tenant))? {
            optional(self.maps.routes.remove(&prefix::key(tenant, prefix)))?;
        }
        Ok(())
    }

    /// Counts routes. With the first one packets are no longer led point to point, with the last one again.
    fn count_routes(&mut self, id: TenantId, by: i32) -> Result<()> {
        let tenant = self.tenant_at(id);
        let routes = tenant.routes.saturating_add_signed(by);
        self.maps.tenants.set_part(id.0, offset_of!(Tenant, routes), &routes);
        if (tenant.routes == 0) == (routes == 0) {
            return Ok(());
        }
        let (tunnels, ports) = (self.tunnels_of(&tenant), self.maps.ports_of(&tenant));
        let replaced = self.set_members(id, &tunnels, &ports);
        let old = replaced.inspect_err(|_| {
            self.maps.tenants.set_part(id.0, offset_of!(Tenant, routes), &tenant.routes);
        })?;
        self.wait_for_programs();
        self.release_members(&old);
        Ok(())
    }
}
