//! Secrets at rest: sealed with a key that is not in the database. AES-256-GCM of aws-lc-rs, which is here for TLS anyway:
//! audited, quick on every processor that runs this, and its nonces can't be chosen wrongly.

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use sha2::{Digest as _, Sha256};

/// How an envelope is laid out: version, key id, nonce, sealed bytes with their tag.
const VERSION: u8 = 1;
const ID_LEN: usize = 8;
const HEAD: usize = 1 + ID_LEN + NONCE_LEN;
const KEY_LEN: usize = 32;

/// The keys of a process: the first seals, all of them open.
pub struct Keys {
    keys: Vec<Key>,
}

struct Key {
    id: [u8; ID_LEN],
    key: RandomizedNonceKey,
}

impl Keys {
    /// Read `ENCRYPTION_KEY`: 32 bytes each, as hex or base64, comma separated.
    pub fn read(text: &SecretString) -> Result<Self> {
        let words = text.expose_secret().split(',').map(str::trim).filter(|word| !word.is_empty());
        let keys = words.map(Key::read).collect::<Result<Vec<_>>>()?;
        ensure!(
            !keys.is_empty(),
            "ENCRYPTION_KEY is empty: write 32 random bytes, such as `openssl rand -hex 32` prints"
        );
        Ok(Self { keys })
    }

    /// The id of the key that seals.
    pub fn sealing(&self) -> String {
        hex::encode(self.keys[0].id)
    }

    /// The ids of all keys, the sealing one first.
    pub fn ids(&self) -> impl Iterator<Item = String> {
        self.keys.iter().map(|key| hex::encode(key.id))
    }

    /// Seal `plain` for one place, such as `session.archive` of a task: anywhere else it does not open.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let Key { id, key } = &self.keys[0];
        let mut bytes = plain.to_vec();
        let nonce = key
            .seal_in_place_append_tag(aad(*id, place), &mut bytes)
            .ok()
            .context("seal something for the database")?;
        let mut sealed = Vec::with_capacity(HEAD + bytes.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(id);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut bytes);
        Ok(sealed)
    }

    /// Open what was sealed for this place by any of the keys.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let (Some(head), Some(bytes)) = (sealed.get(..HEAD), sealed.get(HEAD..)) else {
            bail!("{place} is no sealed value");
        };
        ensure!(head[0] == VERSION, "{place} was sealed by a newer version of cloud-agent");
        let (id, nonce) = head[1..].split_at(ID_LEN);
        let Some(Key { id, key }) = self.keys.iter().find(|key| key.id == id) else {
            bail!("{place} was sealed with a key that is not in ENCRYPTION_KEY (key id {})", hex::encode(id));
        };
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok().context("read a nonce")?;
        let mut bytes = bytes.to_vec();
        let opened = key.open_in_place(nonce, aad(*id, place), &mut bytes).ok();
        let length = opened.with_context(|| format!("{place} was changed since it was sealed"))?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl Key {
    fn read(word: &str) -> Result<Self> {
        let bytes = if word.len() == 2 * KEY_LEN {
            hex::decode(word).ok()
        } else {
            let word = word.trim_end_matches('=');
            STANDARD_NO_PAD.decode(word).or_else(|_| URL_SAFE_NO_PAD.decode(word)).ok()
        };
        let bytes = bytes.map(Zeroizing::new).filter(|bytes| bytes.len() == KEY_LEN);
        let bytes = bytes.context("ENCRYPTION_KEY: each key is 32 bytes, written as 64 hex digits or as base64")?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok().context("use ENCRYPTION_KEY")?;
        let digest = Sha256::new().chain_update("cloud-agent encryption key").chain_update(&*bytes).finalize();
        let mut id = [0; ID_LEN];
        id.copy_from_slice(&digest[..ID_LEN]);
        Ok(Self { id, key })
    }
}

/// What a sealed value is bound to.
fn aad(id: [u8; ID_LEN], place: &str) -> Aad<Vec<u8>> {
    let mut bound = vec![VERSION];
    bound.extend_from_slice(&id);
    bound.extend_from_slice(place.as_bytes());
    Aad::from(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Keys {
        Keys::read(&text.into()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_with_its_key_and_unchanged() {
        let (one, two) = ("11".repeat(32), "22".repeat(32));
        let old = keys(&one);
        let sealed = old.seal("session.archive:1", b"said").unwrap();
        assert!(!sealed.windows(4).any(|bytes| bytes == b"said"));
        assert_ne!(sealed, old.seal("session.archive:1", b"said").unwrap(), "never the same nonce");
        assert_eq!(old.open("session.archive:1", &sealed).unwrap(), b"said");

        let rotated = keys(&format!("{two}, {one}"));
        assert_eq!(rotated.open("session.archive:1", &sealed).unwrap(), b"said", "the older key still opens");
        assert_eq!(rotated.sealing(), keys(&two).sealing(), "the first one seals");

        let says = |result: Result<Vec<u8>>| result.unwrap_err().to_string();
        assert!(says(old.open("session.archive:2", &sealed)).contains("was changed"), "another row");
        assert!(says(keys(&two).open("session.archive:1", &sealed)).contains("not in ENCRYPTION_KEY (key id "));
        for at in [0, 1, HEAD - 1, HEAD, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(old.open("session.archive:1", &changed).is_err(), "a change of byte {at} is seen");
        }
        assert!(old.open("session.archive:1", &sealed[..HEAD - 1]).is_err());
        assert_eq!(old.open("x", &old.seal("x", b"").unwrap()).unwrap(), b"");
    }

    #[test]
    fn keys_are_hex_or_base64_and_never_shown() {
        let hex = keys(&"0a".repeat(32));
        let base64 = keys("CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=");
        assert_eq!(hex.sealing(), base64.sealing());
        assert_eq!(format!("{hex:?}"), format!("[{:?}]", hex.sealing()));
        for bad in ["", ",", "secret", "0a0a", &"zz".repeat(32)] {
            let error = Keys::read(&bad.into()).unwrap_err().to_string();
            assert!(error.starts_with("ENCRYPTION_KEY"), "{error}");
            assert!(!error.contains("0a0a") && !error.contains("zz"), "{error}");
        }
    }
}
