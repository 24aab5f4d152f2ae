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

    /// As `claude_will`, once `claude_goes_on` was called.
    pub fn claude_waits(&mut self, script: &str) {
        self.claude_will(&format!("touch WAITS; while [ ! -e GO ]; do sleep 0.02; done; rm GO WAITS\n{script}"));
    }

    /// Returns when a Claude that waits has begun.
    pub async fn claude_is_waiting(&self) {
        self.wait_for("Claude to begin", async || self.workspace("WAITS").is_some()).await;
    }

    pub fn claude_goes_on(&self) {
        let waits = self.workspace("WAITS").expect("a Claude that waits");
        std::fs::write(waits.with_file_name("GO"), "").unwrap();
    }

    /// A file of the working tree of a run, if it is there.
    fn workspace(&self, name: &str) -> Option<PathBuf> {
        let runs = std::fs::read_dir(self.data_dir().join("runs")).ok()?;
        runs.flatten().map(|run| run.path().join("workspace").join(name)).find(|path| path.exists())
    }

    /// The next reviews find this: a JSON array of findings. What was found before is said to be fixed, and the second look
    /// refutes nothing.
    pub fn claude_finds(&mut self, findings: &str) {
        self.claude_reviews(findings, "fixed", "");
    }

    /// The next reviews find this, say this of everything that was found before (`fixed` or `present`), and the second
    /// look refutes the findings at these places, separated by spaces.
    pub fn claude_reviews(&mut self, findings: &str, earlier: &str, refuted: &str) {
        let answer = |given: &str| {
            format!(
                r#"printf '{{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":2,"session_id":"s","total_cost_usd":0.01,"structured_output":%s}}\n' "{given}""#
            )
        };
        let verdicts = answer(r#"{\"verdicts\":[$VERDICTS]}"#);
        let review = answer(
            r#"{\"summary\":\"It greets the world.\",\"verdict\":\"concerns\",\"findings\":$FINDINGS,\"earlier\":[$EARLIER]}"#,
        );
        self.claude_plays(&format!(
            r#"
case "$PROMPT" in *"Another reviewer has found"*)
    for i in {refuted}; do VERDICTS="$VERDICTS{{\"index\":$i,\"holds\":false,\"why\":\"no\"}},"; done
    VERDICTS=${{VERDICTS%,}}
    {verdicts}
    exit ;;
esac
FINDINGS=$(cat <<'EOF_FINDINGS'
{findings}
EOF_FINDINGS
)
if [ -e /context/earlier.md ]; then
    EARLIER=$(sed -n 's/^- id \([0-9a-f-]*\):.*/{{"id":"\1","state":"{earlier}"}},/p' /context/earlier.md | tr -d '\n')
    EARLIER=${{EARLIER%,}}
fi
{review}
"#
        ));
    }

    /// The next runs are the real Claude Code, against the scripted model.
    pub fn claude_is_real(&mut self) {
        self.set("CLAUDE_BIN", real_claude().to_str().unwrap());
    }
}
