//! Repositories that one may know of: by id once that is known, for names change and go to somebody else, and by name until then.

use anyhow::Result;
use sqlx::Row as _;

use super::Store;
use super::filter::Filter;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowed {
    /// `owner/name` in small letters, as it is now as far as we have heard.
    pub name: String,
    /// None until the name was seen.
    pub id: Option<u64>,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Among(pub Vec<Narrowed>);

impl Among {
    /// Whether a repository is among them. Without its id, whether one of that name may be.
    pub fn has(&self, id: Option<u64>, name: &str) -> bool {
        let named = |it: &Narrowed| it.name.eq_ignore_ascii_case(name);
        self.0.iter().any(|it| match (it.id, id) {
            (Some(ours), Some(id)) => ours == id,
            _ => named(it),
        })
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|it| it.name.clone()).collect()
    }

    /// As it stands in the database: the names, and the ids in the same order, 0 where there is none.
    pub(super) fn columns(&self) -> (String, String) {
        let ids: Vec<String> = self.0.iter().map(|it| it.id.unwrap_or_default().to_string()).collect();
        (self.names().join(" "), ids.join(" "))
    }

    pub(super) fn read(names: &str, ids: Option<&str>) -> Self {
        let mut ids = ids.unwrap_or_default().split_whitespace().map(|id| id.parse().ok().filter(|id| *id != 0));
        let named = |name: &str| Narrowed { name: name.to_owned(), id: ids.next().flatten() };
        Self(names.split_whitespace().map(named).collect())
    }

    /// Those rows of `task` that are about one of them.
    pub(super) fn filter(&self, filter: &mut Filter) {
        let ids: Vec<i64> = self.0.iter().filter_map(|it| it.id).map(|id| id as i64).collect();
        let unseen = self.0.iter().filter(|it| it.id.is_none()).map(|it| it.name.clone());
        filter.either(("repository_id", &ids), ("lower(repository)", &unseen.collect::<Vec<_>>()));
    }
}

impl Store {
    /// The repository that was last worked on under this name.
    async fn repository_named(&self, name: &str) -> sqlx::Result<Option<u64>> {
        const SQL: &str = "select repository_id from task where lower(repository) = $1
                           order by created_at desc, task_id desc limit 1";
        let id: Option<i64> = sqlx::query_scalar(SQL).bind(name).fetch_optional(&self.read).await?;
        Ok(id.map(|id| id as u64))
    }

    /// Give names their ids, as far as they were seen.
    pub async fn look_up(&self, among: &Among) -> Result<Among> {
        let mut found = among.clone();
        for it in found.0.iter_mut().filter(|it| it.id.is_none()) {
            it.id = self.repository_named(&it.name).await?;
        }
        Ok(found)
    }

    /// Keep what a key is narrowed to, if nobody has changed it meanwhile.
    pub async fn narrow_key(&self, key_id: &str, from: &Among, to: &Among) -> Result<()> {
        const SQL: &str = "update api_key set repositories = $1, repository_ids = $2
                           where key_id = $3 and repositories = $4";
        if from != to {
            let (names, ids) = to.columns();
            let narrow = sqlx::query(SQL).bind(names).bind(ids).bind(key_id).bind(from.columns().0);
            narrow.execute(&self.write).await?;
        }
        Ok(())
    }

    /// A repository has another name: the keys that are narrowed to it follow. `was` is the name before, where that is told.
    pub async fn rename_in_keys(&self, repository: u64, was: Option<&str>, name: &str) -> Result<()> {
        self.change_keys(|it| {
            let was_it = || was.is_some_and(|was| it.name.eq_ignore_ascii_case(was));
            let is_it = it.id.map_or_else(was_it, |id| id == repository);
            is_it.then(|| Narrowed { name: name.to_lowercase(), id: Some(repository) })
        })
        .await
    }

    /// An account has another name, and with it all of its repositories.
    pub async fn rename_owner_in_keys(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (format!("{}/", from.to_lowercase()), to.to_lowercase());
        self.change_keys(|it| {
            let rest = it.name.strip_prefix(&from)?;
            Some(Narrowed { name: format!("{to}/{rest}"), id: it.id })
        })
        .await
    }

    /// Keys are few, and this is rare.
    async fn change_keys(&self, change: impl Fn(&Narrowed) -> Option<Narrowed>) -> Result<()> {
        const SQL: &str = "select key_id, repositories, repository_ids from api_key
                           where repositories is not null and revoked_at is null";
        for row in sqlx::query(SQL).fetch_all(&self.read).await? {
            let names: String = row.try_get(1)?;
            let before = Among::read(&names, row.try_get::<Option<String>, _>(2)?.as_deref());
            let mut after = self.look_up(&before).await?;
            for it in &mut after.0 {
                *it = change(it).unwrap_or_else(|| it.clone());
            }
            self.narrow_key(&row.try_get::<String, _>(0)?, &before, &after).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_worth_more_than_a_name() {
        let among = Among::read("octo/app octo/new", Some("55 0"));
        assert_eq!(among, Among::read(&among.columns().0, Some(&among.columns().1)));
        for (id, name, expected) in [
            (Some(55), "octo/app", true),
            // Renamed, and its old name somebody else's.
            (Some(55), "octo/renamed", true),
            (Some(56), "octo/app", false),
            (Some(57), "Octo/New", true),
            (None, "octo/app", true),
            (None, "octo/other", false),
        ] {
            assert_eq!(among.has(id, name), expected, "{id:?} {name}");
        }
        // As older versions have written it.
        assert!(Among::read("octo/app", None).has(Some(1), "octo/app"));
        assert!(!Among::default().has(Some(1), ""));
    }
}
