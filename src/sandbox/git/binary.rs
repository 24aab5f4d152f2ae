//! What is in files that are no text, which no diff shows.

use std::collections::BTreeSet;

use super::inspect::Caps;
use super::run::Input;
use super::{GitError, Inspection, Workbench};

/// More than this is not looked through.
const MOST: usize = 64 << 20;

impl Workbench {
    /// All that would be published and that no diff shows, one after the other; whether there was more of it.
    pub async fn unseen(&self, seen: &Inspection, caps: &Caps) -> Result<(Vec<u8>, bool), GitError> {
        // Nobody has counted the lines of what passes by, so it may be anything.
        let binary = seen.files.iter().filter(|it| it.binary).chain(&seen.passing);
        let ids: BTreeSet<_> =
            binary.filter(|it| it.new_mode != super::inspect::GITLINK).filter_map(|it| it.new.clone()).collect();
        if ids.is_empty() {
            return Ok((Vec::new(), false));
        }
        let call = self.call("cat-file", caps).arg("--batch").input(Input::lines(&ids));
        let out = call.cut_after(MOST).run().await?;
        Ok((out.stdout, out.truncated))
    }
}
