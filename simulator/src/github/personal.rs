//! People's own tokens: those that were made here, and no others.

use super::state::{Kind, PersonalToken};
use super::{World, permissions};

impl World {
    /// A token of a person, for these repositories or for all that the person has a role in, with these permissions. It does
    /// what the person may do besides, and nothing else.
    pub fn personal_token(&self, who: &str, repos: Option<&[&str]>, granted: &[(&str, &str)]) -> String {
        let repositories = repos.map(|them| them.iter().map(|it| self.repo_id(it)).collect());
        let mut state = self.state();
        let person = state.account_id(who, Kind::User);
        let text = format!("github_pat_{}", uuid::Uuid::new_v4().simple());
        let mut permissions = permissions(granted);
        // Comes with every permission of a repository.
        permissions.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
        state.personal_tokens.insert(text.clone(), PersonalToken { person, permissions, repositories });
        text
    }

    /// From now on it is a bad credential.
    pub fn revoke_personal_token(&self, text: &str) {
        self.state().personal_tokens.remove(text);
    }
}
