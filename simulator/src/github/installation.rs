//! The installation's life: suspended, uninstalled, given other permissions, covering other repositories. Each change
//! is announced by a webhook in the background; [`World::quiesce`] waits for it.

use serde_json::{Value, json};

use super::events::Event;
use super::state::Kind;
use super::{World, permissions};

impl World {
    /// No deliveries and no new tokens until [`World::unsuspend_installation`]; announced as `installation.suspend`.
    pub fn suspend_installation(&self) {
        let now = self.clock.now();
        self.state().installation.suspended_at = Some(now);
        self.announce("installation", "suspend", json!({}));
    }

    /// Ends a suspension; announced as `installation.unsuspend`.
    pub fn unsuspend_installation(&self) {
        self.state().installation.suspended_at = None;
        self.announce("installation", "unsuspend", json!({}));
    }

    /// The installation is gone: its tokens are bad credentials, it cannot be found. Announced as
    /// `installation.deleted`.
    pub fn uninstall(&self) {
        self.state().installation.gone = true;
        self.announce("installation", "deleted", json!({}));
    }

    /// Replaces what the installation was granted, for example `&[("metadata", "read"), ("issues", "write")]`;
    /// announced as `installation.new_permissions_accepted`. Tokens minted before lose what is gone.
    pub fn set_permissions(&self, granted: &[(&str, &str)]) {
        self.state().installation.permissions = permissions(granted);
        self.announce("installation", "new_permissions_accepted", json!({}));
    }

    /// Whether the installation covers the repository; a new one is covered. Announced as
    /// `installation_repositories.added` or `removed`.
    pub fn set_installed(&self, repo: &str, installed: bool) {
        let id = self.repo_id(repo);
        let name = {
            let mut state = self.state();
            let repo = state.repo_mut(id);
            repo.installed = installed;
            json!([{ "id": id, "name": repo.name, "full_name": repo.full_name(), "private": repo.private }])
        };
        let (added, removed) = if installed { (name, json!([])) } else { (json!([]), name) };
        let more =
            json!({ "repository_selection": "selected", "repositories_added": added, "repositories_removed": removed });
        self.announce("installation_repositories", if installed { "added" } else { "removed" }, more);
    }

    /// Gives a repository to another account, whose installation is the same one here; the old name redirects. Announced as
    /// `repository.transferred`.
    pub fn transfer_repo(&self, repo: &str, new_owner: &str) {
        let id = self.repo_id(repo);
        let event = {
            let mut state = self.state();
            let old = state.repo(id).owner.clone();
            let by = state.account_id(new_owner, Kind::Organization);
            let here = state.repo_mut(id);
            here.former.push(here.full_name());
            new_owner.clone_into(&mut here.owner);
            let mut payload = self.envelope(&state, id, by, "transferred");
            payload["changes"] = json!({ "owner": { "from": { "organization": { "login": old } } } });
            Event { name: "repository", repo: Some(id), payload }
        };
        self.deliver_later(vec![event]);
    }

    /// The owner of the first repository does it, as an organisation's administrator would.
    fn announce(&self, name: &'static str, action: &str, more: Value) {
        let event = {
            let state = self.state();
            let by = state.repos.first().and_then(|it| state.account(&it.owner)).map_or(0, |it| it.id);
            self.installation_event(&state, name, by, action, more)
        };
        self.deliver_later(vec![event]);
    }
}
