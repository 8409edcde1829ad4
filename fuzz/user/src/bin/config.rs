//! Any text as a configuration file: it is refused with a reason, or means the same when it is exported and read again.
#![cfg_attr(fuzzing, no_main)]

use gre_user::config::{export, file};

gre_fuzz::target!(check);

fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match file::parse("FILE", text) {
        Err(problems) => {
            let problems = problems.to_string();
            // Cause and place, for each.
            assert!(problems.lines().all(|line| line.starts_with("FILE")), "{problems}");
        }
        Ok(file::File { model, .. }) => {
            let exported = export::text(&model).expect("what was read can be written");
            let again = file::parse("EXPORTED", &exported);
            let again = again.unwrap_or_else(|problems| panic!("{problems}\n{exported}"));
            assert_eq!(again.model, model, "{exported}");
        }
    }
}
