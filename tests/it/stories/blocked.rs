//! What a sandbox was refused is told to people, and whoever is inside does not decide how long that list is.

use std::process::Command;

use crate::world::World;

/// Asks for one host three times, for 250 others once, and then gives up or not.
const ASKS_FOR_MANY: &str = r#"
for i in 1 2 3 $(seq -f 'n%03g.invalid' 250); do
    case $i in 1|2|3) HOST=often.invalid;; *) HOST=$i;; esac
    bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; printf "CONNECT '$HOST':443 HTTP/1.1\r\n\r\n" >&3; head -n 1 <&3' >/dev/null
done
"#;

fn ca(world: &World, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ca"));
    command.args(args).env_clear().env("CA_URL", format!("http://{}", world.address())).env("CA_API_KEY", "ca_test");
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

stories! {
    async fn refused_hosts_are_counted_and_ten_are_named(database: Database) {
        let mut world = World::on(database).await;
        // Two keys: one is being changed for the other.
        world.set("ADMIN_API_KEY", "ca_new, ca_test");
        world.claude_will(&format!("{ASKS_FOR_MANY}\necho more > README.md"));
        world.start().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        world.told();

        let summary = world.github.check_runs("octo/app").pop().unwrap().summary.unwrap();
        let (_, list) = summary.split_once("### Connections that the sandbox was refused\n\n").unwrap();
        let list: Vec<_> = list.lines().take_while(|line| line.starts_with("- ")).collect();
        assert_eq!((list.len(), list[0]), (11, "- `often.invalid:443` (3 times)"), "{summary}");
        // 200 are remembered, the last entry stands for all that came after them.
        assert_eq!(list[10], "- and 191 more (241 times)", "{summary}");
        let comment = world.github.last_comment("octo/app#1").unwrap().body;
        assert!(comment.contains("refused to connect to `often.invalid:443`, `n001.invalid:443`, `n002.invalid:443` and 198 more"), "{comment}");

        let id = world.last_task(1).await.unwrap().id.to_string();
        let told = tokio::task::block_in_place(|| ca(&world, &["task", "get", &id]));
        assert!(told.contains("refused  often.invalid:443 (3 times)") && told.contains("refused  and 191 more (241 times)"), "{told}");
        let told = tokio::task::block_in_place(|| ca(&world, &["task", "get", &id, "--json"]));
        let task: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&task["blocked"]["more"], task["blocked"]["hosts"].as_array().unwrap().len()), (&191.into(), 10));
        let told = tokio::task::block_in_place(|| ca(&world, &["task", "logs", &id]));
        assert!(told.contains("refused 253 connections"), "{told}");
    }

    async fn refused_hosts_of_a_run_that_fails_are_kept_with_the_task(database: Database) {
        let mut world = World::on(database).await;
        world.set("ADMIN_API_KEY", "ca_test");
        world.claude_plays("bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; printf \"CONNECT evil.invalid:443 HTTP/1.1\\r\\n\\r\\n\" >&3; head -n 1 <&3' >/dev/null; exit 3");
        world.start().await;
        world.issue("The greeting is short", "");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        world.told();
        let task = world.last_task(1).await.unwrap();
        assert!(task.ending.is_some_and(|ending| ending.pull.is_none()));
        let told = tokio::task::block_in_place(|| ca(&world, &["task", "get", &task.id.to_string()]));
        assert!(told.contains("refused  evil.invalid:443 (1 times)"), "{told}");
    }

    async fn the_program_keeps_its_memory_and_its_command_line_to_itself(database: Database) {
        let mut world = World::on(database).await;
        world.start_process().await;
        let pid = world.pid();
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core: Vec<_> = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().split_whitespace().collect();
        assert_eq!(core[4..6], ["0", "0"]);
        let argv = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        for (name, secret) in world.secrets() {
            assert!(!argv.contains(&secret), "{name} is in the command line");
        }
        let refused = Command::new(env!("CARGO_BIN_EXE_cloud-agent")).args(["serve", "--anthropic-api-key", "sk-ant-x"]).env_clear().output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("ANTHROPIC_API_KEY"));
        world.stop().await;
    }
}
