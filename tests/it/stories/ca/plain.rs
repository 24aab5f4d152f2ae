//! What `ca` says without a server.

use insta::assert_snapshot;

use super::machine::Machine;

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let said = Machine::bare().with("CA_URL", "http://127.0.0.1:1").ca(&["status"]).await;
    assert_snapshot!(said.steady(), @"");
    let said = Machine::bare().with("CA_URL", "ftp://x").ca(&["status"]).await;
    assert_snapshot!(said.steady(), @"");
}

#[tokio::test]
async fn the_help_teaches() {
    assert_snapshot!(Machine::bare().ca(&["--help"]).await.steady(), @"");
    assert_snapshot!(Machine::bare().ca(&["task", "create", "--help"]).await.steady(), @"");
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
