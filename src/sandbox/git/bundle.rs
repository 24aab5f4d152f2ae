//! The head of a bundle file, read by us: git would believe its ref names, its capabilities and its number of refs.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{GitError, Sha};

/// A bundle's head is some lines long; more than this is no bundle of `pack.sh`.
const MAX_HEADER: usize = 64 << 10;

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The commit behind its one ref.
    pub head: Sha,
    /// Bytes before the pack begins.
    pub length: usize,
}

/// Open a bundle that left a sandbox: a regular file of at most `max` bytes, never through a symlink, never a pipe. The
/// file stands where the pack begins.
pub(super) fn open(path: &Path, max: u64) -> Result<(File, Header), GitError> {
    let bad = |why: String| GitError::Bundle(why);
    let options =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
    let mut file = options.map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) => bad("it is a symlink".to_owned()),
        Some(libc::ENOENT) => bad("there is none".to_owned()),
        _ => GitError::io("open the bundle", &e),
    })?;
    let io = |e: io::Error| GitError::io("read the bundle", &e);
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(bad("it is no regular file".to_owned()));
    }
    if meta.len() > max {
        return Err(bad(format!("it has {} bytes, and {max} are allowed", meta.len())));
    }
    let mut start = Vec::new();
    (&mut file).take(MAX_HEADER as u64).read_to_end(&mut start).map_err(io)?;
    let header = read_header(&start).map_err(|why| bad(why.to_owned()))?;
    file.seek(SeekFrom::Start(header.length as u64)).map_err(io)?;
    Ok((file, header))
}

/// Versions 2 and 3, SHA-1, exactly one ref. Which commits it builds on is not believed but found out.
fn read_header(bytes: &[u8]) -> Result<Header, &'static str> {
    let end = bytes.windows(2).position(|w| w == b"\n\n").ok_or("its head has no end")?;
    let mut lines = bytes[..end].split(|b| *b == b'\n');
    let v3 = match lines.next() {
        Some(b"# v2 git bundle") => false,
        Some(b"# v3 git bundle") => true,
        _ => return Err("it is no git bundle"),
    };
    let mut head = None;
    for line in lines {
        match line.first() {
            Some(b'@') if v3 && line == b"@object-format=sha1" => {}
            Some(b'@') => return Err("it asks for something unknown"),
            Some(b'-') => {}
            _ if head.is_some() => return Err("it has more than one ref"),
            _ => {
                let (sha, rest) = line.split_at_checked(40).ok_or("a ref in it is no ref")?;
                let sha = std::str::from_utf8(sha).ok().and_then(|s| s.parse::<Sha>().ok());
                head = Some(sha.filter(|_| rest.first() == Some(&b' ')).ok_or("a ref in it is no ref")?);
            }
        }
    }
    Ok(Header { head: head.ok_or("it has no ref")?, length: end + 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    #[test]
    fn one_ref_and_nothing_odd() {
        let good = [
            format!("# v2 git bundle\n-{SHA} words\n{SHA} refs/cloud-agent/out\n\nPACK\n\n"),
            format!("# v2 git bundle\n{SHA} HEAD\n\nPACK"),
            format!("# v3 git bundle\n@object-format=sha1\n{SHA} refs/heads/x\n\nPACK"),
        ];
        for text in &good {
            let header = read_header(text.as_bytes()).expect(text);
            assert_eq!(header.head.as_str(), SHA);
            assert!(text.as_bytes()[header.length..].starts_with(b"PACK"));
        }
        let bad = [
            String::new(),
            "# v2 git bundle\n\nPACK".to_owned(),
            format!("# v4 git bundle\n{SHA} HEAD\n\n"),
            format!("# v2 git bundle\n{SHA} HEAD\nPACK"),
            format!("# v2 git bundle\n{SHA} HEAD\n{SHA} refs/heads/main\n\nPACK"),
            format!("# v2 git bundle\n@object-format=sha1\n{SHA} HEAD\n\nPACK"),
            format!("# v3 git bundle\n@filter=blob:none\n{SHA} HEAD\n\nPACK"),
            "# v2 git bundle\n--upload-pack=x HEAD\n\n".to_owned(),
            format!("# v2 git bundle\n{SHA}x\n\n"),
            format!("# v2 git bundle\n{} HEAD\n\n", "0".repeat(40)),
        ];
        for text in &bad {
            assert!(read_header(text.as_bytes()).is_err(), "{text}");
        }
    }
}
