//! What a process sees: bubblewrap's arguments, and the small `/etc` that goes with them.
//!
//! The arguments are read by bubblewrap from a descriptor. On its command line they could be read inside (`/proc/1/cmdline`)
//! and by everybody on the host.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use crate::sandbox::{Exec, SandboxError, Spec};

pub(super) const UID: u32 = 1000;
pub(super) const HOME: &str = "/home/agent";
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Parts of the host's `/etc` that programs in `/usr` need: certificates, alternatives, the linker's cache.
const ETC: [&str; 6] = ["alternatives", "ca-certificates", "crypto-policies", "ld.so.cache", "pki", "ssl"];
/// Parts of those that are nobody's business.
const PRIVATE: [&str; 2] = ["/etc/ssl/private", "/etc/pki/tls/private"];

/// The directories of a sandbox on the host.
pub(super) struct Directories {
    pub etc: PathBuf,
    pub home: PathBuf,
    pub context: PathBuf,
    pub out: PathBuf,
    pub tmp: PathBuf,
}

impl Directories {
    pub fn of(sandbox: &Path) -> Directories {
        let dir = |name| sandbox.join(name);
        Directories { etc: dir("etc"), home: dir("home"), context: dir("context"), out: dir("out"), tmp: dir("tmp") }
    }

    /// Those that are the agent's own.
    pub fn writable(&self) -> [&Path; 3] {
        [&self.home, &self.out, &self.tmp]
    }
}

/// Bubblewrap's options, separated by NUL.
#[derive(Default)]
pub(super) struct Args {
    pub bytes: Vec<u8>,
    /// Where the sources of bind mounts will be found, when not at their own path; and the sources so far.
    staging: Option<PathBuf>,
    pub staged: Vec<PathBuf>,
    bad: Option<OsString>,
}

impl Args {
    /// The options for one process. With `staging`, the n-th source is expected as `staging/n`.
    pub fn new(
        directories: &Directories,
        spec: &Spec,
        exec: &Exec,
        seccomp: &[i32],
        status: i32,
        staging: Option<&Path>,
    ) -> Result<Args, SandboxError> {
        let mut args = Args { staging: staging.map(Path::to_owned), ..Args::default() };
        // The network namespace is new already and holds the doors; so it is "shared" with bubblewrap's caller.
        args.add(["--unshare-all", "--share-net", "--unshare-user", "--disable-userns"]);
        args.add(["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL", "--hostname", "sandbox"]);
        args.add(["--uid", &UID.to_string(), "--gid", &UID.to_string()]);
        args.add(["--json-status-fd", &status.to_string()]);
        for filter in seccomp {
            args.add(["--add-seccomp-fd", &filter.to_string()]);
        }
        args.system(directories);
        args.memory_files(spec.limits.memory_bytes);
        args.bind("--bind", &directories.home, Path::new(HOME));
        args.bind("--bind", &directories.tmp, Path::new("/var/tmp"));
        args.bind("--bind", &spec.workspace, Path::new("/workspace"));
        args.bind("--ro-bind", &directories.context, Path::new("/context"));
        args.bind("--bind", &directories.out, Path::new("/out"));
        for (host, inside) in spec.objects.iter().chain(&spec.read_only) {
            args.bind("--ro-bind", host, inside);
        }
        // Bubblewrap's own / and /dev are memory without a limit; nothing is to be written there.
        args.add(["--remount-ro", "/dev", "--remount-ro", "/"]);
        let cwd = if exec.cwd.as_os_str().is_empty() { Path::new("/workspace") } else { &exec.cwd };
        args.add([OsStr::new("--chdir"), cwd.as_os_str()]);
        for (name, value) in [("HOME", HOME), ("PATH", PATH), ("LANG", "C.UTF-8"), ("TERM", "dumb")] {
            if !exec.env.contains_key(name) {
                args.add(["--setenv", name, value]);
            }
        }
        for (name, value) in &exec.env {
            if name.is_empty() || name.contains('=') {
                return Err(SandboxError::Invalid(format!("an environment variable can't be called {name:?}")));
            }
            args.add(["--setenv", name, value]);
        }
        match args.bad {
            Some(bad) => Err(SandboxError::Invalid(format!("there is a NUL byte in {}", bad.display()))),
            None => Ok(args),
        }
    }

    /// The programs of the host, and what they can't do without.
    fn system(&mut self, directories: &Directories) {
        self.add(["--ro-bind", "/usr", "/usr"]);
        for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
            match fs::read_link(name) {
                Ok(target) => self.add([OsStr::new("--symlink"), target.as_os_str(), OsStr::new(name)]),
                Err(_) if Path::new(name).is_dir() => self.add(["--ro-bind", name, name]),
                Err(_) => {}
            }
        }
        self.bind("--ro-bind", &directories.etc, Path::new("/etc"));
        for path in ETC.map(|name| Path::new("/etc").join(name)) {
            if path.exists() {
                self.add([OsStr::new("--ro-bind"), path.as_os_str(), path.as_os_str()]);
            }
        }
        for path in PRIVATE {
            if Path::new(path).is_dir() {
                self.add(["--size", "4096", "--perms", "0555", "--tmpfs", path]);
            }
        }
        self.add(["--proc", "/proc", "--dev", "/dev"]);
    }

    /// Directories in memory. Where the kernel counts a sandbox's memory they count too; elsewhere their sizes bound them.
    fn memory_files(&mut self, memory: u64) {
        for (path, size, mode) in
            [("/tmp", memory / 4, "1777"), ("/dev/shm", memory / 8, "1777"), ("/run", 16 << 20, "0755")]
        {
            self.add(["--size", &size.max(4096).to_string(), "--perms", mode, "--tmpfs", path]);
        }
    }

    fn bind(&mut self, how: &str, host: &Path, inside: &Path) {
        let source = match &self.staging {
            Some(staging) => staging.join(self.staged.len().to_string()),
            None => host.to_owned(),
        };
        self.staged.push(host.to_owned());
        self.add([OsStr::new(how), source.as_os_str(), inside.as_os_str()]);
    }

    fn add<T: AsRef<OsStr>>(&mut self, all: impl IntoIterator<Item = T>) {
        for arg in all {
            let bytes = arg.as_ref().as_bytes();
            // It would end the argument and begin another one.
            if bytes.contains(&0) {
                self.bad.get_or_insert_with(|| arg.as_ref().to_owned());
            }
            self.bytes.extend_from_slice(bytes);
            self.bytes.push(0);
        }
    }
}

/// Refuse paths that bubblewrap would understand in a way of its own: an empty source means the whole file system.
pub(super) fn check(spec: &Spec) -> Result<(), SandboxError> {
    let plain = |path: &Path| {
        let mut parts = path.components();
        parts.next() == Some(Component::RootDir)
            && parts.clone().next().is_some()
            && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    let there = |path: &Path| {
        let found =
            path.try_exists().map_err(|error| SandboxError::Io { doing: format!("find {}", path.display()), error })?;
        if found { Ok(()) } else { Err(SandboxError::NotFound(format!("path on this machine: {}", path.display()))) }
    };
    if !plain(&spec.workspace) {
        return Err(SandboxError::Path(spec.workspace.clone()));
    }
    there(&spec.workspace)?;
    for (host, inside) in spec.objects.iter().chain(&spec.read_only) {
        // Read-only directories can't get a new entry to mount on.
        let closed = ["/usr", "/etc", "/proc"].iter().any(|dir| inside.starts_with(dir)) && !inside.exists();
        if let Some(bad) = [host, inside].into_iter().find(|path| !plain(path)) {
            return Err(SandboxError::Path(bad.clone()));
        }
        if closed {
            return Err(SandboxError::Path(inside.clone()));
        }
        there(host)?;
    }
    Ok(())
}

/// Refuse read-only sources that a user of the sandbox's own could not read; a strict umask leaves such behind.
pub(super) fn check_readable(spec: &Spec) -> Result<(), SandboxError> {
    for (host, _) in spec.objects.iter().chain(&spec.read_only) {
        let meta = fs::metadata(host)
            .map_err(|error| SandboxError::Io { doing: format!("find {}", host.display()), error })?;
        let needed = if meta.is_dir() { 0o005 } else { 0o004 };
        if meta.permissions().mode() & needed != needed {
            let path = host.display();
            let todo = format!("run `chmod -R o+rX {path}` and start cloud-agent with the umask 022");
            return Err(SandboxError::Invalid(format!("a sandbox's own user can't read {path}; {todo}")));
        }
    }
    Ok(())
}

/// Write the `/etc` of a sandbox. It is mounted read-only, so what is mounted in it gets its place here.
pub(super) fn write_etc(dir: &Path, spec: &Spec) -> io::Result<()> {
    let (name, email) = match &spec.git_identity {
        Some((name, email)) => (name.as_str(), email.as_str()),
        None => ("cloud-agent[bot]", "cloud-agent[bot]@users.noreply.github.com"),
    };
    let git = format!(
        "[user]\n\tname = {}\n\temail = {}\n[safe]\n\tdirectory = *\n[core]\n\thooksPath = /dev/null\n",
        quoted(name),
        quoted(email)
    );
    let passwd = format!(
        "root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:{UID}:{UID}:agent:{HOME}:/bin/bash\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    );
    let files = [
        ("passwd", passwd.as_str()),
        ("group", &format!("root:x:0:\nagent:x:{UID}:\nnogroup:x:65534:\n")),
        ("hosts", "127.0.0.1\tlocalhost sandbox\n::1\tlocalhost\n"),
        // There is no resolver. Names are the proxy's business; asking for one here fails at once instead of hanging.
        (
            "resolv.conf",
            "# There is no DNS in a sandbox. Programs reach the network through the proxy in HTTPS_PROXY.\n",
        ),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
        ("gitconfig", &git),
    ];
    for (name, text) in files {
        fs::write(dir.join(name), text)?;
        // The sandbox's user reads them, whatever our umask is.
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o644))?;
    }
    for name in ETC {
        let (host, place) = (Path::new("/etc").join(name), dir.join(name));
        if host.is_dir() {
            fs::create_dir_all(place)?;
        } else if host.exists() {
            fs::write(place, "")?;
        }
    }
    Ok(())
}

/// A value of git's configuration that can't become a line of its own.
fn quoted(value: &str) -> String {
    let clean: String = value.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\""))
}
