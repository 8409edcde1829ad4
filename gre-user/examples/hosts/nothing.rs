//! No datapath: what is wanted is looked at, and taken for made.

use std::{cell::RefCell, rc::Rc};

use anyhow::Result;
use gre_user::fleet::{
    follower::{Datapath, Endpoints},
    wanted::Wanted,
};

use crate::cloud::{Cloud, Host};

/// That of a host.
pub struct Nothing {
    host: Host,
    cloud: Rc<RefCell<Cloud>>,
}

impl Nothing {
    /// None yet.
    pub fn new(host: Host, cloud: Rc<RefCell<Cloud>>) -> Self {
        Self { host, cloud }
    }
}

impl Datapath for Nothing {
    async fn make(&mut self, wanted: &mut Wanted) -> Result<bool> {
        self.cloud.borrow_mut().made(self.host, &wanted.model);
        Ok(true)
    }

    async fn endpoints(&self, wanted: &Wanted) -> Result<Endpoints> {
        let declared = wanted
            .ports
            .iter()
            .map(|(iface, port)| ((port.tenant.clone(), iface.clone()), port.endpoint.clone()));
        Ok(declared.collect())
    }

    async fn have_come(&self) -> Result<bool> {
        Ok(false)
    }
}
