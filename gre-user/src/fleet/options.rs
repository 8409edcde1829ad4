//! How the store is reached.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};

use crate::config::fleet::Fleet;

/// How long a member is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an answer is waited for: a store that is busy is not helped by being asked again.
pub(super) const MUCH_PATIENCE: Duration = Duration::from_secs(10);
/// Most operations of a transaction; etcd takes 128 as it comes.
pub(super) const OPERATIONS: usize = 100;
/// How often a connection that is silent is asked whether it is still there.
const PULSE: Duration = Duration::from_secs(5);

/// What the user said of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Members of the etcd cluster that holds the fleet, as in 192.0.2.9:2379; with https:// in front, by TLS.
    #[arg(
        long = "fleet",
        env = "XGRE_FLEET",
        value_name = "ENDPOINT",
        value_delimiter = ',',
        global = true
    )]
    pub endpoints: Vec<String>,
    /// Certificates of those who vouch for etcd.
    #[arg(long, env = "XGRE_FLEET_CA", global = true, value_name = "FILE")]
    fleet_ca: Option<PathBuf>,
    /// The certificate by which etcd knows this host; goes with --fleet-key.
    #[arg(
        long,
        env = "XGRE_FLEET_CERT",
        global = true,
        value_name = "FILE",
        requires = "fleet_key"
    )]
    fleet_cert: Option<PathBuf>,
    /// Its private key.
    #[arg(
        long,
        env = "XGRE_FLEET_KEY",
        global = true,
        value_name = "FILE",
        requires = "fleet_cert"
    )]
    fleet_key: Option<PathBuf>,
    /// A user of etcd; goes with --fleet-password.
    #[arg(
        long,
        env = "XGRE_FLEET_USER",
        global = true,
        value_name = "NAME",
        requires = "fleet_password"
    )]
    fleet_user: Option<String>,
    /// The file that holds the user's password.
    #[arg(
        long,
        env = "XGRE_FLEET_PASSWORD",
        global = true,
        value_name = "FILE",
        requires = "fleet_user"
    )]
    fleet_password: Option<PathBuf>,
}

impl Options {
    /// What is not said here the file's table says.
    #[must_use]
    pub fn or(self, table: Fleet) -> Self {
        let has_endpoints = self.is_given();
        Self {
            endpoints: if has_endpoints { self.endpoints } else { table.endpoints },
            fleet_ca: self.fleet_ca.or(table.ca),
            fleet_cert: self.fleet_cert.or(table.cert),
            fleet_key: self.fleet_key.or(table.key),
            fleet_user: self.fleet_user.or(table.user),
            fleet_password: self.fleet_password.or(table.password),
        }
    }

    /// Whether a fleet is followed at all.
    pub fn is_given(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// Connects to a member that knows who leads. Which one is chance, so that hosts spread over them, and who comes again finds
    /// another.
    ///
    /// # Errors
    /// No endpoint was named, a file cannot be read, or no member answers.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        ensure!(self.is_given(), "where is the fleet? Give --fleet ENDPOINT, or set XGRE_FLEET");
        let connection = self.connection()?;
        let first = RandomState::new().hash_one(()) as usize % self.endpoints.len();
        let (before, behind) = self.endpoints.split_at(first);
        let mut refusals = Vec::new();
        for endpoint in behind.iter().chain(before) {
            match member(endpoint, &connection).await {
                Ok(client) => return Ok(client),
                Err(error) => refusals.push(format!("{endpoint}: {error:#}")),
            }
        }
        bail!("cannot reach the fleet's store; is etcd there? {}", refusals.join("; "))
    }

    fn connection(&self) -> anyhow::Result<ConnectOptions> {
        let read = |path: &PathBuf| {
            fs::read(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let mut options = ConnectOptions::new()
            .with_connect_timeout(PATIENCE)
            .with_timeout(MUCH_PATIENCE)
            .with_keep_alive(PULSE, PATIENCE)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        let mut tls = TlsOptions::new();
        if let Some(path) = &self.fleet_ca {
            tls = tls.ca_certificate(Certificate::from_pem(read(path)?));
        }
        if let (Some(cert), Some(key)) = (&self.fleet_cert, &self.fleet_key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        if self.fleet_ca.is_some() || self.fleet_cert.is_some() {
            options = options.with_tls(tls);
        }
        if let (Some(user), Some(path)) = (&self.fleet_user, &self.fleet_password) {
            let password = String::from_utf8(read(path)?).context("the password is not text")?;
            options = options.with_user(user, password.trim_end_matches('\n'));
        }
        Ok(options)
    }
}

/// Connects to one member.
async fn member(endpoint: &str, connection: &ConnectOptions) -> anyhow::Result<Client> {
    let mut client = Client::connect([endpoint], Some(connection.clone())).await?;
    let status = tokio::time::timeout(PATIENCE, client.status()).await.context("no answer")??;
    ensure!(status.leader() != 0, "it has no leader");
    Ok(client)
}
