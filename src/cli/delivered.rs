//! What became of the deliveries that GitHub has sent last, for the doctor: a wrong secret is seen nowhere else but there.

use crate::github::Delivered;
use crate::sandbox::{Finding, Grade};

/// What GitHub's list says, the newest first.
pub(super) fn newest(listed: &[Delivered]) -> Finding {
    let finding = |grade, says| Finding { grade, what: "deliveries".to_owned(), says };
    let Some(last) = listed.first() else {
        return finding(Grade::Good, "GitHub lists none".to_owned());
    };
    let at = &last.delivered_at;
    let status = last.status_code.filter(|status| *status > 0);
    let status = status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
    if last.was_taken() {
        return finding(Grade::Good, format!("GitHub's newest, of {at}, was answered with {status}"));
    }
    let many = listed.iter().take_while(|it| it.status_code == last.status_code).count();
    let these = if many == 1 { "GitHub's newest was".to_owned() } else { format!("GitHub's newest {many} were") };
    let mend = match last.status_code {
        Some(401) => {
            "GITHUB_WEBHOOK_SECRET does not have the secret of the App's webhook: put it there, restart, and see \
             whether the next one is taken"
        }
        _ => {
            "is `serve` up, and does PUBLIC_URL lead to it from outside? Recent deliveries on the App's page (Advanced) \
             show the answers"
        }
    };
    let says = format!("{these} answered with {status}, last at {at}: {mend}. The sweep fetches them meanwhile");
    finding(Grade::Warning, says)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(status_code: Option<u16>) -> Delivered {
        Delivered {
            id: 1,
            guid: "g".to_owned(),
            delivered_at: "2026-01-02T03:04:05Z".to_owned(),
            status_code,
            event: "issues".to_owned(),
            action: None,
            installation_id: None,
            repository_id: None,
        }
    }

    #[test]
    fn the_newest_one_decides() {
        let check = |statuses: &[Option<u16>], grade, says: &str| {
            let listed: Vec<_> = statuses.iter().map(|it| delivered(*it)).collect();
            let found = newest(&listed);
            assert_eq!(found.grade, grade, "{statuses:?}");
            assert!(found.says.contains(says), "{statuses:?}: {}", found.says);
        };
        check(&[], Grade::Good, "none");
        check(&[Some(202), Some(401)], Grade::Good, "of 2026-01-02T03:04:05Z, was answered with 202");
        check(&[Some(401), Some(401), Some(202)], Grade::Warning, "newest 2 were answered with 401");
        check(&[Some(401)], Grade::Warning, "GITHUB_WEBHOOK_SECRET does not have the secret");
        check(&[Some(504), Some(401)], Grade::Warning, "newest was answered with 504");
        check(&[Some(0)], Grade::Warning, "answered with nothing, last at 2026-01-02T03:04:05Z: is `serve` up");
        check(&[None], Grade::Warning, "answered with nothing");
    }
}
