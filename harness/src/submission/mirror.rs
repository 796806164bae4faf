//! Bare copies of repositories behind URLs, kept in the cache.
//!
//! `file://` goes through libgit2. Over a network Git itself fetches: it has the user's credential helpers, SSH agent
//! and proxies, and saves everybody who builds `grader` a TLS library.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use git2::{FetchOptions, FetchPrune, Repository};

use super::SubmissionError;
use crate::cache::Cache;
use crate::digest;

/// Wall time after which a fetch is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is copied: branches and tags, as the remote has them.
const REFSPECS: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// Whether `--repo` names a repository elsewhere: `scheme://…`, or `user@host:path` as SSH writes it.
pub fn is_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if let Some(scheme) = scheme {
        return !scheme.is_empty()
            && scheme.chars().all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character));
    }
    let host = text.split_once(':').map(|(host, _)| host);
    host.is_some_and(|host| host.contains('@') && !host.contains('/')) && !Path::new(text).exists()
}

/// The URL as it may be shown: passwords and tokens stand before the `@`.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    match host.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split_once(':').map_or("", |(user, _)| user);
            let at = if user.is_empty() { "" } else { "@" };
            format!("{scheme}://{user}{at}{host}/{path}")
        }
        None => url.to_owned(),
    }
}

/// Brings the copy of a repository up to date, and opens it.
pub(super) fn fetch(url: &str, cache: &Cache) -> Result<Repository, SubmissionError> {
    let name = format!("{}.git", &digest::of_bytes(url.as_bytes())[..16]);
    let _lock = cache.lock(&format!("mirror-{name}"))?;
    let folder = cache.folder("mirrors")?.join(name);
    let failed = |reason: String| SubmissionError::Fetch { url: without_password(url), reason };
    let open = |folder: &Path| match Repository::open_bare(folder) {
        Ok(repository) => Ok(repository),
        // Whatever a grader that was killed left there.
        Err(_) => {
            let _ = fs::remove_dir_all(folder);
            Repository::init_bare(folder)
        }
    };
    let repository = open(&folder).map_err(|error| failed(error.message().to_owned()))?;
    if url.starts_with("file://") {
        let mut options = FetchOptions::new();
        options.prune(FetchPrune::On);
        repository
            .remote_anonymous(url)
            .and_then(|mut remote| remote.fetch(&REFSPECS, Some(&mut options), None))
            .map_err(|error| failed(error.message().to_owned()))?;
    } else {
        fetch_with_git(url, &folder)?;
    }
    Ok(repository)
}

fn fetch_with_git(url: &str, folder: &Path) -> Result<(), SubmissionError> {
    let shown = without_password(url);
    let failed = |reason: String| SubmissionError::Fetch { url: shown.clone(), reason };
    let mut errors = tempfile::tempfile().map_err(|error| failed(error.to_string()))?;
    let stderr = errors.try_clone().map_err(|error| failed(error.to_string()))?;
    let mut git = Command::new("git");
    // A URL must not be able to name a command.
    git.args(["-c", "protocol.ext.allow=never", "--git-dir"]).arg(folder);
    // Within a hook these name the repository that the hook belongs to.
    for variable in
        ["GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE"]
    {
        git.env_remove(variable);
    }
    git.args(["fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-auto-gc", "--", url]).args(REFSPECS);
    // Nobody is there to type a password in CI, and a question would hang the run.
    git.env("GIT_TERMINAL_PROMPT", "0");
    if !has_own_ssh() {
        git.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
    }
    git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let mut child = git.spawn().map_err(|cause| SubmissionError::GitMissing { url: shown.clone(), cause })?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| failed(error.to_string()))? {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("no end after {} s", PATIENCE.as_secs())));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    let read = io::Seek::rewind(&mut errors).and_then(|()| io::Read::read_to_string(&mut errors, &mut text));
    read.map_err(|error| failed(error.to_string()))?;
    Err(failed(with_help(&text.replace(url, &shown))))
}

/// Whether the user has said how Git is to speak SSH.
fn has_own_ssh() -> bool {
    let by_variable = ["GIT_SSH_COMMAND", "GIT_SSH"].into_iter().any(|name| std::env::var_os(name).is_some());
    by_variable || git2::Config::open_default().and_then(|all| all.get_entry("core.sshCommand").map(|_| ())).is_ok()
}

/// What Git said, in one line, and what to do where SSH would have asked.
fn with_help(said: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = lines.collect::<Vec<_>>().join(" ");
    let help = if said.contains("Host key verification failed") {
        "; connect to the host once with `ssh`, or add its key to ~/.ssh/known_hosts"
    } else if said.contains("Permission denied (") {
        "; is the key that may read it in the SSH agent (`ssh-add -l`)?"
    } else {
        ""
    };
    said + help
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_are_told_apart() {
        for url in ["https://host/a.git", "file:///tmp/a", "git@host:group/a.git", "ssh://git@host/a"] {
            assert!(is_url(url), "{url}");
        }
        for path in ["../a", "/tmp/a:b", "a", "C:/a", "./git@host:a/b"] {
            assert!(!is_url(path), "{path}");
        }
    }

    #[test]
    fn git_itself_fetches_branches_into_a_bare_copy_and_its_errors_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let source = Repository::init(&from).unwrap();
        let who = git2::Signature::now("A", "a@example.org").unwrap();
        let tree = source.find_tree(source.treebuilder(None).unwrap().write().unwrap()).unwrap();
        source.commit(Some("refs/heads/lab"), &who, &who, "Work", &tree, &[]).unwrap();
        let copy = Repository::init_bare(&to).unwrap();
        fetch_with_git(from.to_str().unwrap(), &to).unwrap();
        assert!(copy.find_branch("lab", git2::BranchType::Local).is_ok());
        let error = fetch_with_git(folder.path().join("nowhere").to_str().unwrap(), &to).unwrap_err().to_string();
        assert!(error.contains("nowhere"), "{error}");
    }

    #[test]
    fn where_ssh_would_have_asked_somebody_the_error_says_what_to_do() {
        let said =
            "Host key verification failed.\r\nfatal: Could not read from remote repository.\n\nPlease make sure\n";
        let help = with_help(said);
        assert!(help.starts_with("Host key verification failed. fatal: Could not"), "{help}");
        assert!(
            help.ends_with(
                "Please make sure; connect to the host once with `ssh`, or add its key to ~/.ssh/known_hosts"
            )
        );
        assert!(with_help("root@host: Permission denied (publickey).").contains("ssh-add -l"));
        assert_eq!(with_help("fatal: repository 'a' not found\n"), "fatal: repository 'a' not found");
    }

    #[test]
    fn no_password_is_ever_shown() {
        assert_eq!(without_password("https://me:secret@host/a.git"), "https://me@host/a.git");
        assert_eq!(without_password("https://token@host/a.git"), "https://host/a.git");
        assert_eq!(without_password("https://host/a@b"), "https://host/a@b");
    }
}
