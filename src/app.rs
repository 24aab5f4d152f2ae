//! Tool: the handles that every stage shares.

use std::sync::Arc;

use anyhow::Result;
use secrecy::SecretString;

use crate::config::Config;
use crate::github::Github;
use crate::queue::Acceptor;
use crate::store::Store;

/// One running program.
#[derive(Clone)]
pub struct App {
    pub config: Arc<Config>,
    /// What deliveries may be signed with.
    pub secrets: Arc<[SecretString]>,
    pub store: Store,
    pub github: Github,
    pub acceptor: Acceptor,
}

impl App {
    /// Put the program together: settings are checked, the database is opened and migrated; nobody outside is asked.
    pub async fn start(config: Config) -> Result<Self> {
        let secrets = config.github.webhook_secrets()?;
        let github = Github::new(&config.github)?;
        let store = Store::connect(&config.store.database_url()).await?;
        store.migrate().await?;
        Ok(Self {
            secrets: secrets.into(),
            acceptor: Acceptor::start(store.clone()),
            config: Arc::new(config),
            store,
            github,
        })
    }
}
