//! Claude, played by a shell script inside the real sandbox: it does as told and says so in stream-json. The important
//! stories use the real one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::World;

/// The pinned Claude Code CLI that `script/setup` installs.
pub fn real_claude() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/npm/node_modules/.bin/claude");
    assert!(path.exists(), "Claude Code is not installed: run script/setup");
    path
}

impl World {
    /// The next runs of Claude execute this script in the working tree, and answer that they greeted the world.
    pub fn claude_will(&mut self, script: &str) {
        self.claude_says(script, r#"{"title":"Greet the world","summary":"The greeting was too short.","details":"","verification":"I read it again.","changed":true}"#);
    }

    /// The next runs of Claude execute this script and give this answer.
    pub fn claude_says(&mut self, script: &str, answer: &str) {
        let result = format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":2,"session_id":"s","total_cost_usd":0.01,"structured_output":{answer}}}"#
        );
        self.claude_plays(&format!("{script}\ncat <<'EOR'\n{result}\nEOR\n"));
    }

    /// The next runs of Claude are this script and nothing else; standard input has the prompt.
    pub fn claude_plays(&mut self, script: &str) {
        let path = self.dir.path().join("claude");
        let init = r#"{"type":"system","subtype":"init","session_id":"s","model":"claude-actor","tools":[],"claude_code_version":"0"}"#;
        // Written aside and renamed: an earlier run may be reading the old one.
        let aside = self.dir.path().join("claude.new");
        std::fs::write(&aside, format!("#!/bin/sh\nread -r PROMPT\necho '{init}'\n{script}\n")).unwrap();
        std::fs::set_permissions(&aside, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        self.set("CLAUDE_BIN", path.to_str().unwrap());
    }

    /// The next runs are the real Claude Code, against the scripted model.
    pub fn claude_is_real(&mut self) {
        self.set("CLAUDE_BIN", real_claude().to_str().unwrap());
    }
}
