//! Tool: the handles that every stage shares.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::OnceCell;
use tracing::info;

use crate::bodies::Bodies;
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
    pub bodies: Bodies,
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
        config.store.make_data_dir()?;
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
            bodies: Bodies::new(config.server.bodies_mb, config.server.request_timeout.0),
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

/// A file with fewer characters holds no secret, whatever has cut it.
const LEAST_SECRET: usize = 16;

/// A secret that stands in a file, or a new one that is put there (0600); whether it is new.
fn kept(file: &Path, make: impl FnOnce() -> String) -> Result<(SecretString, bool)> {
    match std::fs::read_to_string(file) {
        Ok(kept) => {
            let secret = SecretString::from(kept.trim());
            let characters = secret.expose_secret().chars().count();
            anyhow::ensure!(
                characters >= LEAST_SECRET,
                "{} has {characters} characters, which is no key: put the key back, or remove the file if there never was \
                 another, and one is made",
                file.display()
            );
            return Ok((secret, false));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
        Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
    }
    let secret = make();
    put(file, &secret).with_context(|| format!("write {}", file.display()))?;
    Ok((SecretString::from(secret), true))
}

/// Whole and on the disk before it has its name, so that neither a crash nor a full disk leaves half of it there.
fn put(file: &Path, secret: &str) -> std::io::Result<()> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    // What an earlier start has left of it.
    if let Err(error) = std::fs::remove_file(&new)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    out.write_all(secret.as_bytes())?;
    out.sync_all()?;
    std::fs::rename(&new, file)?;
    std::fs::File::open(dir)?.sync_all()
}

fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_whole_or_not_at_all_and_half_of_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("admin-api-key");
        // As a crash before the last step leaves it.
        std::fs::write(dir.path().join("admin-api-key.new"), "ca_").unwrap();
        let (made, new) = kept(&file, || "0123456789abcdef".to_owned()).unwrap();
        assert_eq!((made.expose_secret(), new), ("0123456789abcdef", true));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        let (read, new) = kept(&file, || unreachable!("there is one")).unwrap();
        assert_eq!((read.expose_secret(), new), ("0123456789abcdef", false));

        for half in ["", " \n", "0123456789abcde"] {
            std::fs::write(&file, half).unwrap();
            let error = admin_keys(None, dir.path()).unwrap_err().to_string();
            assert!(
                error.contains("admin-api-key has ") && error.contains("which is no key: put the key back"),
                "{error}"
            );
        }
    }
}
