//! A repository's settings: what is read can be shown and read again, and a mistake is where the file has something.

use cloud_agent::task::rules::{check_words, read, read_bytes};

pub fn holds(data: &[u8]) {
    match read_bytes(data) {
        Ok(rules) => {
            let shown = rules.effective();
            let again = read(&shown).unwrap_or_else(|mistakes| panic!("{mistakes:?} in\n{shown}"));
            assert_eq!(again, rules, "\n{shown}");
            check_words(Ok(&rules));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            let text = String::from_utf8_lossy(data);
            let lines: Vec<&str> = text.split('\n').collect();
            for it in &mistakes {
                let line = lines.get(it.line as usize - 1);
                let line = line.unwrap_or_else(|| panic!("{it} is below the file, of {} lines", lines.len()));
                // A thing that is missing is told at the end of its line.
                let width = line.chars().count() as u32;
                assert!(1 <= it.column && it.column <= width + 1, "{it} is beside {line:?}");
                assert!(it.column < it.end_column && it.end_column <= width + 2, "{it:?} goes beyond {line:?}");
                let plain = it.message.chars().all(|c| !c.is_control() && !cloud_agent::text::is_invisible(c));
                assert!(plain && !it.message.is_empty() && it.message.len() < 2_000, "{:?}", it.message);
            }
            assert!(mistakes.is_sorted(), "they are told from the top");
            let (_, summary) = check_words(Err(&mistakes));
            assert!(summary.chars().count() <= cloud_agent::text::LONGEST_COMMENT);
        }
    }
}
