//! Tool: the handles that every stage shares.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use secrecy::SecretString;
use tokio::sync::OnceCell;
use tracing::info;

use crate::config::{self, Config};
use crate::gateway::host::Rule;
use crate::gateway::{Gateway, GatewaySettings};
use crate::github::{self, Github};
use crate::health::Health;
use crate::queue::Acceptor;
use crate::sandbox::Provider;
use crate::sandbox::git::{self, Git};
use crate::sandbox::local::Local;
use crate::store::{Keys, Store};
use crate::text;

/// One running program.
#[derive(Clone)]
pub struct App {
    pub config: Arc<Config>,
    /// What deliveries may be signed with.
    pub secrets: Arc<[SecretString]>,
    pub store: Store,
    pub github: Github,
    pub acceptor: Acceptor,
    pub provider: Arc<dyn Provider>,
    pub gateway: Gateway,
    pub health: Health,
    /// Each opens the API; several while one is being changed.
    pub admin_keys: Arc<[SecretString]>,
    /// Made at the first run: its commits carry the bot's account, which GitHub has to tell.
    git: Arc<OnceCell<Git>>,
}

impl App {
    /// Put the program together: settings are checked, the database is opened and migrated; nobody outside is asked.
    pub async fn start(config: Config) -> Result<Self> {
        let secrets = config.github.webhook_secrets()?;
        let github = Github::new(&config.github)?;
        let data_dir = &config.store.data_dir;
        std::fs::create_dir_all(data_dir).with_context(|| format!("make {} (DATA_DIR)", data_dir.display()))?;
        let provider = provider(&config)?;
        let mut model = GatewaySettings::new(config.model.base_url.clone(), config.model.api_key.clone());
        model.prices = config.model.model_prices.parse().map_err(|why| anyhow::anyhow!("MODEL_PRICES: {why}"))?;
        let gateway = Gateway::new(model)?;
        // A rule that can't be read should stop the start, not every run.
        for host in config.sandbox.egress() {
            host.parse::<Rule>().map_err(|error| anyhow::anyhow!("EGRESS: {error}"))?;
        }
        config.store.retention.check()?;
        let keys = encryption_keys(&config.store)?;
        let mut store = Store::connect(&config.store.database_url()).await?;
        store.migrate().await?;
        store.unlock(keys).await?;
        store.live_on(&machine_id(data_dir)?, config.runs.handover.0);
        let github = github.paced_by(Arc::new(store.clone()));
        let admin_keys = admin_keys(config.server.admin_api_key.as_ref(), data_dir)?;
        hold_keys(&config, &secrets, &admin_keys)?;
        Ok(Self {
            secrets: secrets.into(),
            acceptor: Acceptor::start(store.clone()),
            config: Arc::new(config),
            store,
            github,
            provider,
            gateway,
            health: Health::default(),
            admin_keys: admin_keys.into(),
            git: Arc::default(),
        })
    }

    /// git on this host, in the bot's name.
    pub async fn git(&self) -> Result<Git, github::Error> {
        let make = async || {
            let bot = self.github.identity().await?;
            let host = self.config.github.noreply_host();
            let settings = git::Settings {
                program: "git".into(),
                env: config::inherited(),
                base: self.config.github.url.clone(),
                data_dir: absolute(&self.config.store.data_dir),
                identity: git::Identity {
                    name: bot.bot_login.clone(),
                    email: format!("{}+{}@{host}", bot.bot_id, bot.bot_login),
                },
                fsck: true,
                timeouts: git::Timeouts::default(),
            };
            Git::new(settings).map_err(|error| github::Error::Ours(error.to_string()))
        };
        self.git.get_or_try_init(make).await.cloned()
    }
}

/// The provider that `SANDBOX` names.
pub fn provider(config: &Config) -> Result<Arc<dyn Provider>> {
    match config.sandbox.sandbox.as_str() {
        "local" => {
            let root = absolute(&config.store.data_dir).join("sandboxes");
            let local = Local::new(&root, "cloud-agent".to_owned()).context("prepare DATA_DIR/sandboxes")?;
            // Below the whole of it no run begins; one that is under way may use the upper half.
            Ok(Arc::new(local.keep_free(config.store.disk_free_mb.saturating_mul(1 << 19))))
        }
        other => anyhow::bail!("SANDBOX={other} is not known; this version has `local`"),
    }
}

/// Nothing that the program says may contain a key of its own.
fn hold_keys(config: &Config, webhook: &[SecretString], admin: &[SecretString]) -> Result<()> {
    text::at_home(config.github.url.host_str().unwrap_or_default());
    webhook
        .iter()
        .chain(config.model.api_key.iter())
        .chain(admin)
        .chain([&config.github.app()?.1])
        .for_each(text::hold);
    let addresses = [&config.model.base_url, &config.github.url, &config.github.api_url(), &config.server.public_url];
    addresses.into_iter().filter_map(config::password_in).for_each(|password| text::hold(&password));
    config.store.password().iter().for_each(text::hold);
    // Each by itself: a new and an old one are never said together.
    config.store.encryption_key.iter().flat_map(config::several).for_each(|key| text::hold(&key));
    Ok(())
}

/// The keys in force: those given, the one kept, or a new one that is kept and told once.
fn admin_keys(given: Option<&SecretString>, data_dir: &Path) -> Result<Vec<SecretString>> {
    if let Some(given) = given {
        let keys = config::several(given);
        anyhow::ensure!(!keys.is_empty(), "ADMIN_API_KEY is empty: give it a key, or leave it away and one is made");
        return Ok(keys);
    }
    let file = data_dir.join("admin-api-key");
    let (key, new) = kept(&file, || format!("ca_{}", random()))?;
    if new {
        info!("Made an admin key for the API; it stands in {}", file.display());
    }
    Ok(vec![key])
}

/// What seals secrets in the database: the keys given, the one kept, or a new one that is kept and told once.
fn encryption_keys(config: &config::Store) -> Result<Keys> {
    if let Some(keys) = known_keys(config)? {
        return Ok(keys);
    }
    let file = encryption_key_file(&config.data_dir);
    let (key, _) = kept(&file, random)?;
    text::hold(&key);
    info!("Made an encryption key; it stands in {}: back it up apart from the database", file.display());
    Keys::read(&key)
}

/// The keys given, or the one kept; none when there is none yet.
pub fn known_keys(config: &config::Store) -> Result<Option<Keys>> {
    if let Some(given) = &config.encryption_key {
        return Keys::read(given).map(Some);
    }
    let file = encryption_key_file(&config.data_dir);
    if !file.exists() {
        return Ok(None);
    }
    let (key, _) = kept(&file, random)?;
    text::hold(&key);
    Keys::read(&key).map(Some).with_context(|| format!("use the key in {}", file.display()))
}

/// Where the encryption key is kept when none is given.
pub fn encryption_key_file(data_dir: &Path) -> PathBuf {
    data_dir.join("encryption-key")
}

/// The random id of this machine, or of what passes for one: whoever has another `DATA_DIR` has other files.
fn machine_id(data_dir: &Path) -> Result<String> {
    let file = data_dir.join("machine-id");
    match std::fs::read_to_string(&file) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        Ok(_) => (),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
        Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
    }
    let id = uuid::Uuid::new_v4().to_string();
    let new = data_dir.join(format!(".machine-id-{id}"));
    std::fs::write(&new, &id)
        .and_then(|()| std::fs::rename(&new, &file))
        .with_context(|| format!("write {}", file.display()))?;
    Ok(id)
}

/// 32 bytes as hex, of two version-4 ids: 244 of the bits are random.
fn random() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

/// A secret that stands in a file, or a new one that is put there (0600); whether it is new.
fn kept(file: &Path, make: impl FnOnce() -> String) -> Result<(SecretString, bool)> {
    match std::fs::read_to_string(file) {
        Ok(kept) => return Ok((SecretString::from(kept.trim()), false)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
        Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
    }
    let secret = make();
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create_new(true).mode(0o600);
    let mut out = open.open(file).with_context(|| format!("write {}", file.display()))?;
    // On the disk before anything depends on it.
    out.write_all(secret.as_bytes())
        .and_then(|()| out.sync_all())
        .with_context(|| format!("write {}", file.display()))?;
    Ok((SecretString::from(secret), true))
}

fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
