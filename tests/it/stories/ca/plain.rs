//! What `ca` says without a server.

use insta::assert_snapshot;

use super::machine::Machine;

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let said = Machine::bare().with("CA_URL", "http://127.0.0.1:1").ca(&["status"]).await;
    assert_snapshot!(said.steady(), @"
    # 1
    ca: no server answers at http://127.0.0.1:1/: Connection refused (os error 111)
      Start it with `cloud-agent serve`, or name another one: `ca login URL` or CA_URL.
    ");
    let said = Machine::bare().with("CA_URL", "ftp://x").ca(&["status"]).await;
    assert_snapshot!(said.steady(), @"
    # 2
    ca: a server's address begins with http:// or https://, not ftp:
    ");
}

#[tokio::test]
async fn the_help_teaches() {
    assert_snapshot!(Machine::bare().ca(&["--help"]).await.steady(), @r#"
    # 0
    Give a cloud-agent server work, watch it and manage it

    Usage: ca [OPTIONS] <COMMAND>

    Commands:
      login        Keep a server and its key, so that no command needs them. Reads the key from the
                   terminal or from standard input
      logout       Forget what `login` keeps
      task         Tasks: what was asked, and what became of it
      pr           Pull requests
      issue        Issues
      deliveries   What GitHub has told the server, what was decided and why
      keys         Keys that open the API
      usage        What tasks have cost
      status       Whether the server is ready, and what is wrong
      completions  Print a script that completes these commands in a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
          --url <URL>  The server; else the one of `ca login`, else http://localhost:3000 [env: CA_URL=]
          --json       Print what the server sent: one object, or one on each line where there are
                       several. Errors are an object too
      -h, --help       Print help
      -V, --version    Print version

    First steps:
      ca login https://agent.example.com
      ca task create "The greeting is too short" --repo octo/app --follow
      ca pr review 123 --repo octo/app
      ca task logs --follow 0197…

    CA_URL and CA_API_KEY win over what `ca login` keeps. NO_COLOR turns colours off.

    Exit codes: 0 done, 1 failed or not reached, 2 wrong usage, 3 the task was cancelled, 4 timed out,
    5 not allowed, 130 no longer watched (the task goes on).
    "#);
    assert_snapshot!(Machine::bare().ca(&["task", "download", "--help"]).await.steady(), @"
    # 0
    Write what a task has left into a directory: `changes.patch`, `commits.bundle`, `files.tar`,
    `transcript.jsonl`

    Usage: ca task download [OPTIONS] <TASK> [NAMES]...

    Arguments:
      <TASK>
      [NAMES]...  Which of them; all that are there when absent

    Options:
      -o, --output <OUTPUT>  The directory, made when it is not there [default: .]
          --url <URL>        The server; else the one of `ca login`, else http://localhost:3000 [env:
                             CA_URL=]
          --force            Replace files that are there already
          --json             Print what the server sent: one object, or one on each line where there are
                             several. Errors are an object too
      -h, --help             Print help
    ");
    assert_snapshot!(Machine::bare().ca(&["task", "create", "--help"]).await.steady(), @"
    # 0
    Ask for something. Prints the task's id

    Usage: ca task create [OPTIONS] <PROMPT>

    Arguments:
      <PROMPT>  What to do, in plain words; `-` reads it from standard input. What it links of GitHub is
                read too

    Options:
          --repo <REPO>
              `owner/name`, or its address
          --url <URL>
              The server; else the one of `ca login`, else http://localhost:3000 [env: CA_URL=]
          --ref <REF>
              The branch to begin with and to go into; the default branch when absent
          --budget <BUDGET>
              Most that it may cost, in US dollars
          --json
              Print what the server sent: one object, or one on each line where there are several.
              Errors are an object too
      -f, --follow
              Watch it until it has ended; the exit code says how
          --idempotency-key <IDEMPOTENCY_KEY>
              Asking twice with the same key makes one task; a new key each time when absent
          --callback <URL>
              Have this address called when the task has ended. CA_CALLBACK_SECRET is what the call is
              signed with
          --own-key
              Pay for the model with the key in CA_ANTHROPIC_API_KEY, for this task alone
          --own-token
              Work on GitHub with the token in CA_GITHUB_TOKEN, in the name of whoever has it, for this
              task alone: also where the App is not installed
      -h, --help
              Print help
    ");
}

#[tokio::test]
async fn every_shell_completes_the_commands() {
    let me = Machine::bare();
    for shell in ["bash", "zsh", "fish"] {
        let said = me.ca(&["completions", shell]).await;
        assert!(said.code == 0 && said.out.contains("deliveries"), "{shell}: {}", said.err);
    }
    assert_eq!(me.ca(&["completions", "tcl"]).await.code, 2);
}
